package mongostore

import "chatplatform.io/chat-svc/internal/sequence"

// Refused tells what the error of an ordered insert says of it.
func Refused(err error) (sequence.Outcome, bool) { return refused(err) }
