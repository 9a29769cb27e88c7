"""One module an emitter: how its users set it up, name the user, session and tags, and send to a URL."""
