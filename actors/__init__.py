"""The shells: hear, append, fold, perform. One file, one actor, one thing owned."""
