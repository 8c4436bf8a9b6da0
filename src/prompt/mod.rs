//! Task + chunk → `Request`: the one door between the document world and the token world.
