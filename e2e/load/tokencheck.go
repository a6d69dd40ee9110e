package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"chatplatform.io/svckit/token"
)

// coldTokens are how many different tokens the cold check goes round.
const coldTokens = 1000

const (
	audience = "chatplatform"
	keysPath = "/.well-known/jwks.json"
)

// tokenCheck is what every request costs a service: a token that it has seen,
// and one that it has not. The yardsticks are the cryptography alone: the
// digest under which a seen token is kept, and the check of a signature.
func tokenCheck() scenario {
	return scenario{name: "P7 checks", run: func(ctx context.Context, w *world) ([]row, error) {
		tokens, err := w.tokens(coldTokens)
		if err != nil {
			return nil, err
		}
		config, err := w.verifying()
		if err != nil {
			return nil, err
		}
		bare, err := bareVerify(tokens[0])
		if err != nil {
			return nil, err
		}
		digest := func(b *testing.B) error {
			for b.Loop() {
				_ = sha256.Sum256([]byte(tokens[0]))
			}
			return nil
		}
		seen, err := w.bench("check of a token seen before; yardstick: its SHA-256", checkSeen(ctx, config, tokens[0]), digest)
		if err != nil {
			return nil, err
		}
		seen.Target = "≤ 1,000 ns"
		unseen, err := w.bench("check of a token never seen; yardstick: bare Ed25519", checkUnseen(ctx, config, tokens), bare)
		unseen.Target = "≤ 100,000 ns"
		return []row{seen, unseen}, err
	}}
}

// A benched is the body of a benchmark that may fail.
type benched func(b *testing.B) error

func checkSeen(ctx context.Context, config token.Config, raw string) benched {
	return func(b *testing.B) error {
		verifier := fresh(config)
		for b.Loop() {
			if _, err := verifier.Verify(ctx, raw); err != nil {
				return err
			}
		}
		return nil
	}
}

func checkUnseen(ctx context.Context, config token.Config, tokens []string) benched {
	return func(b *testing.B) error {
		var verifier *token.Verifier
		for i := range b.N {
			if i%len(tokens) == 0 {
				b.StopTimer()
				verifier = fresh(config)
				b.StartTimer()
			}
			if _, err := verifier.Verify(ctx, tokens[i%len(tokens)]); err != nil {
				return err
			}
		}
		return nil
	}
}

// bareVerify checks a signature over as many bytes as the token has.
func bareVerify(raw string) (benched, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	message := []byte(raw[:strings.LastIndex(raw, ".")])
	signature := ed25519.Sign(private, message)
	return func(b *testing.B) error {
		for b.Loop() {
			if !ed25519.Verify(public, message, signature) {
				return errors.New("the signature is not good")
			}
		}
		return nil
	}, nil
}

// bench lets ours and the yardstick take turns.
func (w *world) bench(work string, ours, yardstick benched) (row, error) {
	var took, yard, ratio []float64
	var allocations int64
	for range w.rounds {
		a, err := benchmark(ours)
		if err != nil {
			return row{}, err
		}
		b, err := benchmark(yardstick)
		if err != nil {
			return row{}, err
		}
		took, yard, ratio = append(took, perOp(a)), append(yard, perOp(b)), append(ratio, perOp(a)/perOp(b))
		allocations = a.AllocsPerOp()
	}
	return row{
		Work:   fmt.Sprintf("%s (%d allocations)", work, allocations),
		Figure: median(took), Unit: "ns", Yardstick: median(yard), Ratio: median(ratio),
	}, nil
}

func perOp(r testing.BenchmarkResult) float64 { return float64(r.T.Nanoseconds()) / float64(r.N) }

func benchmark(run benched) (testing.BenchmarkResult, error) {
	var failed error
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		if failed = run(b); failed != nil {
			b.FailNow()
		}
	})
	if failed == nil && result.N == 0 {
		failed = errors.New("the benchmark did not run")
	}
	return result, failed
}

// tokens gets different tokens of one key.
func (w *world) tokens(count int) ([]string, error) {
	holders, err := w.keyHolders(1)
	if err != nil {
		return nil, err
	}
	tokens := make([]string, count)
	for i := range tokens {
		if tokens[i], err = w.token(holders[0]); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

func (w *world) token(holder keyHolder) (string, error) {
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err := w.call(http.StatusOK, "POST", "/api/auth/token", holder.header, map[string]string{"grant_type": "client_credentials"}, &answer)
	return answer.AccessToken, err
}

// verifying is how a service checks the platform's tokens.
func (w *world) verifying() (token.Config, error) {
	var metadata struct {
		Issuer string `json:"issuer"`
	}
	err := w.call(http.StatusOK, "GET", "/.well-known/oauth-authorization-server", "", nil, &metadata)
	client := &http.Client{Timeout: callTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	return token.Config{
		Issuer: metadata.Issuer, Audience: audience, Capacity: 10 * coldTokens, Now: time.Now,
		Keys: token.NewJWKS(w.server.URL+keysPath, client, time.Now),
	}, err
}

func fresh(config token.Config) *token.Verifier {
	config.Registry = prometheus.NewRegistry()
	return token.NewVerifier(config)
}
