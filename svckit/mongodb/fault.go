package mongodb

import (
	"errors"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"chatplatform.io/svckit/fault"
)

// Fault makes fault.ErrUnavailable, with err as its cause, of trouble that
// passes by itself: a network error, no server or connection to be had in time,
// an operation that ran out of time, a primary that has just stepped down, a
// transaction that met others too often. Every other error, nil and declared
// faults too, comes back as it is; a duplicate key stays what it was.
func Fault(err error) error {
	var declared *fault.Fault
	if err == nil || errors.As(err, &declared) || !passes(err) {
		return err
	}
	return fault.ErrUnavailable.Because(err)
}

func passes(err error) bool {
	return mongo.IsNetworkError(err) || mongo.IsTimeout(err) ||
		errors.Is(err, mongo.ErrClientDisconnected) ||
		unreachable(err) || labeled(err) || notPrimary(err)
}

// unreachable finds errors from before a command was sent.
func unreachable(err error) bool {
	var (
		selection  topology.ServerSelectionError
		connection topology.ConnectionError
		queue      topology.WaitQueueTimeoutError
		pool       topology.PoolError
		cleared    driver.RetryablePoolError
	)
	return errors.As(err, &selection) || errors.As(err, &connection) ||
		errors.As(err, &queue) || errors.As(err, &pool) || errors.As(err, &cleared) ||
		errors.Is(err, topology.ErrServerClosed) || errors.Is(err, topology.ErrTopologyClosed)
}

// labeled finds errors that the server or the driver calls temporary.
func labeled(err error) bool {
	var e mongo.LabeledError
	if !errors.As(err, &e) {
		return false
	}
	for _, label := range []string{
		"RetryableWriteError", "TransientTransactionError", "UnknownTransactionCommitResult", "SystemOverloadedError",
	} {
		if e.HasErrorLabel(label) {
			return true
		}
	}
	return false
}

// notPrimary finds the codes of a server that changes its role or goes down.
func notPrimary(err error) bool {
	var e mongo.ServerError
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range []int{
		64,    // WriteConcernTimeout
		91,    // ShutdownInProgress
		189,   // PrimarySteppedDown
		10058, // LegacyNotPrimary
		10107, // NotWritablePrimary
		11600, // InterruptedAtShutdown
		11602, // InterruptedDueToReplStateChange
		13435, // NotPrimaryNoSecondaryOk
		13436, // NotPrimaryOrSecondary
	} {
		if e.HasErrorCode(code) {
			return true
		}
	}
	return false
}
