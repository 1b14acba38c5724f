"""How changes enter the embedded system over HTTP, and when their producer may believe that they are safe."""
