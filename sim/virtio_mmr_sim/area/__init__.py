"""How large a generated design is, and how fast its clock may be, on parts that free tools know."""
