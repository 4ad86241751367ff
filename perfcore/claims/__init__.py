"""Published claims about speed and price, checked against physics."""
