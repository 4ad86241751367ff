"""Pages that compute: the physics as JavaScript, its data, and the page that draws both."""
