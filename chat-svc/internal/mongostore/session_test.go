package mongostore_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/chat-svc/internal/sequence"
)

// What a database may say of an ordered insert, of which one that never loses
// a majority says only some: whoever is acknowledged must be durable.
func TestWhatARefusedInsertStored(t *testing.T) {
	t.Parallel()
	refusal := func(code int, index bson.D) mongo.BulkWriteError {
		raw, err := bson.Marshal(bson.D{{Key: "keyPattern", Value: index}})
		require.NoError(t, err)
		return mongo.BulkWriteError{WriteError: mongo.WriteError{Index: 3, Code: code, Raw: raw}}
	}
	place := refusal(11000, bson.D{{Key: "_id", Value: 1}})
	key := refusal(11000, bson.D{{Key: "c", Value: 1}, {Key: "sender", Value: 1}, {Key: "key", Value: 1}})
	invalid := refusal(121, nil)
	unconfirmed := &mongo.WriteConcernError{Code: 64, Message: "waiting for replication timed out"}
	refused := func(concern *mongo.WriteConcernError, errs ...mongo.BulkWriteError) error {
		return mongo.BulkWriteException{WriteErrors: errs, WriteConcernError: concern}
	}
	for name, c := range map[string]struct {
		err   error
		known bool
		why   sequence.Refusal
	}{
		"a taken place":                        {refused(nil, place), true, sequence.PlaceTaken},
		"a repeated key":                       {refused(nil, key), true, sequence.KeyRepeated},
		"another duplicate":                    {refused(nil, refusal(11000, bson.D{{Key: "other", Value: 1}})), true, sequence.Rejected},
		"a row that is not valid":              {refused(nil, invalid), true, sequence.Rejected},
		"wrapped":                              {fmt.Errorf("insert: %w", refused(nil, place)), true, sequence.PlaceTaken},
		"a taken place, not confirmed":         {refused(unconfirmed, place), false, 0},
		"a repeated key, not confirmed":        {refused(unconfirmed, key), false, 0},
		"a row that is not valid, unconfirmed": {refused(unconfirmed, invalid), false, 0},
		"all stored, not confirmed":            {refused(unconfirmed), false, 0},
		"more refusals than an order allows":   {refused(nil, place, key), false, 0},
		"no refusal":                           {refused(nil), false, 0},
		"no primary any more":                  {refused(nil, refusal(10107, nil)), false, 0},
		"on its way out":                       {refused(nil, refusal(91, nil)), false, 0},
		"a broken connection":                  {io.ErrUnexpectedEOF, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcome, known := mongostore.Refused(c.err)
			require.Equal(t, c.known, known)
			if !c.known {
				require.Zero(t, outcome, "nobody is acknowledged")
				return
			}
			require.Equal(t, 3, outcome.Stored, "those before it")
			require.Equal(t, c.why, outcome.Refusal)
			require.Error(t, outcome.Err)
		})
	}
}
