// Package mongodb opens a service's database with the promises that every
// service relies on: a write is acknowledged when a majority has it in its
// journal, a read sees only what a majority has, no call hangs when the
// database is away, and each database states its schema and its version.
package mongodb
