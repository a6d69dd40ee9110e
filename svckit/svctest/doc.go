// Package svctest is what the tests of every service share: the real database
// engine, fresh databases, readable logs, counted commands, a breakable network
// and an HTTP client that holds a service to its OpenAPI document. Only tests
// import it.
package svctest
