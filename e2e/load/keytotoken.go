package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/sync/errgroup"
)

const (
	keyHolders    = 256
	exchangeRate  = 300 // a second, of the open loop
	exchangePaced = 8 * time.Second
)

// keyToToken is the exchange of an API key for an access token. Its yardstick
// is the least that it takes: one find by the bare driver, and one signature.
func keyToToken() scenario {
	return scenario{name: "P7", run: func(ctx context.Context, w *world) ([]row, error) {
		holders, err := w.keyHolders(keyHolders)
		if err != nil {
			return nil, err
		}
		yardstick, end, err := w.findAndSign(ctx)
		if err != nil {
			return nil, err
		}
		defer end()
		exchange := func(_ context.Context, worker int) error { return w.exchange(holders[worker%len(holders)].header) }
		var rows []row
		for _, workers := range []int{1, 8, 64} {
			d, err := w.fight(ctx, bout{workers: workers, ours: exchange, yardstick: yardstick})
			if err != nil {
				return nil, err
			}
			r := row{
				Work:   fmt.Sprintf("key → token, %d at once; yardstick: bare find and Ed25519 signature", workers),
				Figure: d.perSecond, Unit: "/s", Yardstick: d.yardstick, Ratio: d.ratio,
				Target: "≥ 3,000 a second and core",
			}
			r.cost(d.perThousand)
			rows = append(rows, r)
		}
		for _, loop := range []struct {
			work string
			op   operation
		}{{"key → token", exchange}, {"its yardstick", yardstick}} {
			l, err := paced(ctx, exchangeRate, exchangePaced, loop.op)
			if err != nil {
				return nil, err
			}
			r := row{Work: fmt.Sprintf("%s, %d a second", loop.work, exchangeRate)}
			r.latency(l)
			rows = append(rows, r)
		}
		return rows, nil
	}}
}

// A keyHolder is an agent with a key, and the header that it exchanges it with.
type keyHolder struct{ id, header string }

// keyHolders registers agents, each with a key.
func (w *world) keyHolders(count int) ([]keyHolder, error) {
	holders := make([]keyHolder, count)
	var group errgroup.Group
	group.SetLimit(8)
	for i := range holders {
		group.Go(func() (err error) {
			holders[i], err = w.keyHolder()
			return err
		})
	}
	return holders, group.Wait()
}

func (w *world) keyHolder() (keyHolder, error) {
	var account struct {
		AgentID     string `json:"agent_id"`
		RecoveryKey string `json:"recovery_key"`
	}
	err := w.call(http.StatusCreated, "POST", "/api/auth/register", "", map[string]string{"agent_name": "load-" + rand.Text()}, &account)
	if err != nil {
		return keyHolder{}, err
	}
	var key struct {
		APIKey string `json:"api_key"`
	}
	err = w.call(http.StatusCreated, "POST", "/api/agents/"+account.AgentID, basic(account.AgentID, account.RecoveryKey),
		map[string]string{"name": "load"}, &key)
	return keyHolder{account.AgentID, basic(account.AgentID, key.APIKey)}, err
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// exchange gets a token and looks whether it is one.
func (w *world) exchange(header string) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(w.server.URL + "/api/auth/token")
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	req.Header.Set(fasthttp.HeaderAuthorization, header)
	req.SetBodyString(`{"grant_type":"client_credentials"}`)
	if err := w.client.DoTimeout(req, resp, callTimeout); err != nil {
		return fmt.Errorf("exchange a key: %w", err)
	}
	if resp.StatusCode() != http.StatusOK || !bytes.Contains(resp.Body(), []byte(`"access_token":"ey`)) {
		return fmt.Errorf("exchange a key: status %d: %s", resp.StatusCode(), resp.Body())
	}
	return nil
}

// findAndSign is the yardstick: the find of a key by account and hash, as the
// service makes it, and a signature over as many bytes as a token has.
func (w *world) findAndSign(ctx context.Context) (op operation, end func(), err error) {
	db, err := w.database(ctx, "auth-svc")
	if err != nil {
		return nil, nil, err
	}
	end = func() { _ = db.Close(context.WithoutCancel(ctx)) } // the run's end, whatever it says
	cursor, err := db.Collection("keys").Find(ctx, bson.D{})
	if err != nil {
		return nil, end, fmt.Errorf("read the keys: %w", err)
	}
	var keys []struct {
		Account string `bson:"account"`
		Hash    []byte `bson:"hash"`
	}
	if err := cursor.All(ctx, &keys); err != nil {
		return nil, end, fmt.Errorf("read the keys: %w", err)
	}
	if len(keys) == 0 {
		return nil, end, errors.New("the database holds no keys")
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, end, err
	}
	payload := bytes.Repeat([]byte("x"), 450)
	return func(ctx context.Context, worker int) error {
		key := keys[worker%len(keys)]
		found := db.Collection("keys").FindOne(ctx, bson.D{
			{Key: "account", Value: key.Account},
			{Key: "hash", Value: bson.D{{Key: "$in", Value: [][]byte{key.Hash}}}},
		})
		if _, err := found.Raw(); err != nil {
			return err
		}
		ed25519.Sign(private, payload)
		return nil
	}, end, nil
}
