// Package engine starts a MongoDB-wire database for local mode and for tests.
//
// It takes the first of three ways that is open: a database that already runs
// (Options.URI; nothing is started), the program mongod on PATH (started as a
// one-node replica set), or secantusd-rs, which cargo builds once into the
// user's cache. The last two run as a child process on a port of their own
// choice on loopback, in a process group of their own, and end with the process
// that started them. Production names a database by its URI and never comes here.
//
// Starting an engine needs a Unix system; elsewhere name a database by URI.
package engine
