// Command load measures the platform: it starts local mode as a child process
// on loopback, runs scenarios against it beside yardsticks, and writes one
// table. It never speaks to anything that it did not start itself, except the
// database that MONGODB_URI names.
//
// A scenario is a file of its own; scenarios lists them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// A scenario measures one kind of work.
type scenario struct {
	name string   // as P7
	env  []string // settings of the platform, as limits raised
	run  func(ctx context.Context, w *world) ([]row, error)
}

func scenarios() []scenario {
	return []scenario{
		keyToToken(), tokenCheck(), sends(), loneSend(), delivery(), fanOut(), crowd(), idle(), emptyPoll(), history(), timeline(),
	}
}

// settings bound a run.
type settings struct {
	only    *regexp.Regexp
	results string
	rounds  int
	round   time.Duration // of each of a round's parts
	// messages are those of P4, in all rounds together.
	messages int
}

// longest is when a run is given up.
const longest = 10 * time.Minute

func main() {
	if len(os.Args) == 2 && os.Args[1] == barePollsCommand {
		if err := serveBarePolls(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "load:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	var chosen []scenario
	var env []string
	for _, each := range scenarios() {
		if s.only.MatchString(each.name) {
			chosen = append(chosen, each)
			env = append(env, each.env...)
		}
	}
	w, err := open(ctx, s, env, stderr)
	if err != nil {
		return err
	}
	t, failed := measure(ctx, w, chosen)
	failed = errors.Join(failed, w.close())
	if len(t.Rows) == 0 {
		return failed
	}
	if _, err := io.WriteString(stdout, t.markdown()); err != nil {
		return errors.Join(failed, fmt.Errorf("print the table: %w", err))
	}
	return errors.Join(failed, t.write(s.results))
}

func parse(args []string, stderr io.Writer) (settings, error) {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	only := flags.String("only", "", "run the scenarios whose name this regular expression matches")
	results := flags.String("results", filepath.Join("e2e", "load", "results"), "folder for the table")
	rounds := flags.Int("rounds", 5, "how often each work and its yardstick take turns; medians count")
	round := flags.Duration("round", 1500*time.Millisecond, "how long each turn takes")
	messages := flags.Int("messages", 15_000, "how many messages P4 sends, at 1,000 a second; the target speaks of 100000")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	if *rounds < 1 || *rounds > 50 || *round < 100*time.Millisecond || *round > 10*time.Second {
		return settings{}, errors.New("-rounds is from 1 to 50, -round from 100ms to 10s")
	}
	if *messages < deliveryRate || *messages > 200_000 {
		return settings{}, fmt.Errorf("-messages is from %d to 200000", deliveryRate)
	}
	testing.Init() // testing.Benchmark goes by a flag of the tests
	if err := flag.Set("test.benchtime", "300ms"); err != nil {
		return settings{}, err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return settings{}, fmt.Errorf("-only: %w", err)
	}
	return settings{only: pattern, results: *results, rounds: *rounds, round: *round, messages: *messages}, nil
}

// measure runs scenarios one after another. One that fails leaves the rows of
// the others.
func measure(ctx context.Context, w *world, chosen []scenario) (t table, failed error) {
	t.Setup = w.setup(ctx)
	for _, each := range chosen {
		fmt.Fprintf(w.progress, "%s ...\n", each.name)
		rows, err := each.run(ctx, w)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", each.name, err))
		}
		for _, r := range rows {
			r.Scenario = each.name
			t.Rows = append(t.Rows, r)
		}
	}
	return t, failed
}
