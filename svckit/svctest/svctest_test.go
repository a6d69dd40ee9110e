package svctest_test

import (
	"net/http"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/svckit/svctest"
)

func TestMain(m *testing.M) { os.Exit(svctest.Run(m)) }

func TestDatabaseIsFreshAndSharedBySettings(t *testing.T) {
	t.Parallel()
	db, settings := svctest.Database(t)
	other, _ := svctest.Database(t)
	_, err := db.Collection("things").InsertOne(t.Context(), bson.M{"_id": 1})
	require.NoError(t, err)

	require.NoError(t, svctest.Open(t, settings).Collection("things").FindOne(t.Context(), bson.M{"_id": 1}).Err())
	require.ErrorIs(t, other.Collection("things").FindOne(t.Context(), bson.M{}).Err(), mongo.ErrNoDocuments)
}

func TestDatabaseIsDroppedAtTheEnd(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("the user", func(t *testing.T) {
		db, _ := svctest.Database(t)
		name = db.Name()
		_, err := db.Collection("things").InsertOne(t.Context(), bson.M{"_id": 1})
		require.NoError(t, err)
	})
	db, _ := svctest.Database(t)
	names, err := db.Client().ListDatabaseNames(t.Context(), bson.M{"name": name})
	require.NoError(t, err)
	require.Empty(t, names)
}

func TestCommandsSeesWhatIsLookedUp(t *testing.T) {
	t.Parallel()
	var commands svctest.Commands
	db, _ := svctest.Database(t, commands.Monitor())
	things := db.Collection("things")
	tests := []struct {
		name string
		do   func() error
	}{
		{"insert", func() error { _, err := things.InsertOne(t.Context(), bson.M{"c": 1, "s": 1}); return err }},
		{"insert", func() error {
			_, err := things.InsertMany(t.Context(), []any{bson.M{"c": 2, "s": 1}, bson.M{"c": 2, "s": 2}})
			return err
		}},
		{"find", func() error { return things.FindOne(t.Context(), bson.M{"c": 1, "s": 1}).Err() }},
		{"update", func() error {
			_, err := things.UpdateOne(t.Context(), bson.M{"c": 1, "s": 1}, bson.M{"$set": bson.M{"x": 1}})
			return err
		}},
		{"delete", func() error { _, err := things.DeleteOne(t.Context(), bson.M{"c": 1, "s": 1}); return err }},
		{"findAndModify", func() error {
			return things.FindOneAndUpdate(t.Context(), bson.M{"c": 2, "s": 1}, bson.M{"$set": bson.M{"x": 1}},
				options.FindOneAndUpdate().SetReturnDocument(options.After)).Err()
		}},
		{"aggregate", func() error { _, err := things.CountDocuments(t.Context(), bson.M{"c": 2, "s": 1}); return err }},
	}
	for _, tt := range tests {
		commands.Reset()
		require.NoError(t, tt.do(), tt.name)
		sent := commands.Sent()
		require.Len(t, sent, 1, tt.name)
		require.Equal(t, tt.name, sent[0].Name)
		require.Equal(t, "things", sent[0].Collection, tt.name)
		require.True(t, sent[0].Carries("c", "s"), tt.name)
		require.False(t, sent[0].Carries("c", "absent"), tt.name)
	}
	require.Equal(t, 1, commands.Count("aggregate"))
	require.Zero(t, commands.Count("find"))
}

func TestLogsCanBeSearched(t *testing.T) {
	t.Parallel()
	logger, logs := svctest.Logs(t)
	logger.Debug("started", "port", 1)
	logger.Info("stopped")
	require.True(t, logs.Contains(`"port":1`))
	require.False(t, logs.Contains("failed"))
	require.Len(t, logs.Find(t, "started"), 1)
	require.EqualValues(t, 1, logs.Find(t, "started")[0]["port"])
}

const openapi = `{
  "openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "servers": [{"url": "https://api.example.com"}],
  "paths": {
    "/things/{id}": {
      "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
      "put": {
        "requestBody": {"required": true, "content": {"application/json": {"schema": {
          "type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}}}}},
        "responses": {
          "200": {"description": "kept", "content": {"application/json": {"schema": {
            "type": "object", "required": ["id"], "properties": {"id": {"type": "string", "format": "uuid"}, "note": {"type": ["string", "null"]}}}}}},
          "400": {"description": "bad", "content": {"application/json": {"schema": {"type": "object", "required": ["error"]}}}},
          "204": {"description": "nothing"}}
      },
      "get": {"responses": {"204": {"description": "there"}}}
    }
  }
}`

// answer says in the path what the handler answers.
func answer(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("application/json")
	switch string(ctx.Path()) {
	case "/things/good":
		ctx.SetBodyString(`{"id": "0190c8e4-5a52-4f51-8a3a-0123456789ab", "note": null, "list": [{"n": 7}]}`)
	case "/things/format":
		ctx.SetBodyString(`{"id": "not a uuid"}`)
	case "/things/shape":
		ctx.SetBodyString(`{}`)
	case "/things/status":
		ctx.SetStatusCode(http.StatusTeapot)
	case "/things/media":
		ctx.SetContentType("text/plain")
	case "/things/extra":
		ctx.SetStatusCode(http.StatusNoContent)
	case "/things/refused":
		ctx.SetStatusCode(http.StatusBadRequest)
		ctx.SetBodyString(`{"error": {"code": "INVALID_REQUEST"}}`)
	default:
		ctx.SetStatusCode(http.StatusNotFound)
	}
}

// A recorder is a test that may fail without failing the real one.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) FailNow()              { r.failed = true; runtime.Goexit() }

// fails reports whether do fails the test it is given.
func fails(t *testing.T, do func(testing.TB)) bool {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(r)
	}()
	<-done
	return r.failed
}

func TestClientHoldsBothSidesToTheDocument(t *testing.T) {
	t.Parallel()
	client := svctest.NewClient(t, answer, []byte(openapi))
	tests := []struct {
		outcome, method, path string
		body                  any
		opts                  []svctest.Option
		fails                 bool
	}{
		{"a good pair passes", "PUT", "/things/good", map[string]any{"size": 1}, nil, false},
		{"a bad request fails", "PUT", "/things/good", map[string]any{"size": "big"}, nil, true},
		{"a missing body fails", "PUT", "/things/good", nil, nil, true},
		{"a bad request on purpose passes", "PUT", "/things/refused", map[string]any{"size": "big"}, []svctest.Option{svctest.BadRequest()}, false},
		{"a bad response to a bad request fails", "PUT", "/things/shape", nil, []svctest.Option{svctest.BadRequest()}, true},
		{"a response without a required field fails", "PUT", "/things/shape", map[string]any{"size": 1}, nil, true},
		{"a response of a wrong format fails", "PUT", "/things/format", map[string]any{"size": 1}, nil, true},
		{"a status that is not described fails", "PUT", "/things/status", map[string]any{"size": 1}, nil, true},
		{"a media type that is not described fails", "PUT", "/things/media", map[string]any{"size": 1}, nil, true},
		{"an unknown path fails", "GET", "/elsewhere", nil, nil, true},
		{"an unknown path on purpose passes", "GET", "/elsewhere", nil, []svctest.Option{svctest.Unrouted()}, false},
		{"an unknown method on purpose passes", "DELETE", "/things/x", nil, []svctest.Option{svctest.Unrouted()}, false},
		{"a known path called unknown fails", "GET", "/things/x", nil, []svctest.Option{svctest.Unrouted()}, true},
	}
	for _, tt := range tests {
		t.Run(tt.outcome, func(t *testing.T) {
			require.Equal(t, tt.fails, fails(t, func(tb testing.TB) {
				client.Call(tb, tt.method, tt.path, tt.body, tt.opts...)
			}))
		})
	}
}

func TestClientTellsWhatWasNotCalled(t *testing.T) {
	t.Parallel()
	client := svctest.NewClient(t, answer, []byte(openapi))
	require.Equal(t, []string{"GET /things/{id}", "PUT /things/{id}"}, client.Uncovered())
	client.Call(t, "PUT", "/things/good", map[string]any{"size": 1})
	require.Equal(t, []string{"GET /things/{id}"}, client.Uncovered())
	require.Equal(t, []int{200}, client.Statuses("PUT /things/{id}"))
}

func TestResponseAccess(t *testing.T) {
	t.Parallel()
	client := svctest.NewClient(t, answer, []byte(openapi))
	r := client.Call(t, "PUT", "/things/good", map[string]any{"size": 1})
	require.Equal(t, http.StatusOK, r.Status)
	require.EqualValues(t, 7, r.Get("list.0.n"))
	require.Nil(t, r.Get("list.1.n"))
	require.Nil(t, r.Get("list.0.n.deeper"))
	require.Equal(t, "0190c8e4-5a52-4f51-8a3a-0123456789ab", r.Text("id"))
	var body struct{ ID string }
	r.Into(t, &body)
	require.Equal(t, r.Text("id"), body.ID)
}
