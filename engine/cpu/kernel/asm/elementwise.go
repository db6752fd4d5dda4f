package main

func vectorFile(e *emitter) {}
