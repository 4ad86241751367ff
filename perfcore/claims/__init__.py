"""Published claims about speed and price, held against physics."""
