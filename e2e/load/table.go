package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A table is the result of a run.
type table struct {
	Setup setup `json:"setup"`
	Rows  []row `json:"rows"`
}

// A setup says what was measured, where and how.
type setup struct {
	When   string `json:"when"`
	Commit string `json:"commit"`
	Engine string `json:"engine"`
	Go     string `json:"go"`
	System string `json:"system"`
	Cores  int    `json:"cores"`
	CPU    string `json:"cpu"`
	// Load is how many processes wanted a processor, on average over a minute,
	// before the run: more than a little of it is others'.
	Load   string `json:"load_before"`
	Rounds int    `json:"rounds"`
	Round  string `json:"round"`
}

// A row is one measurement. What a scenario does not measure is zero and left
// out.
type row struct {
	Scenario  string  `json:"scenario"`
	Work      string  `json:"work"`
	Figure    float64 `json:"figure,omitempty"`
	Unit      string  `json:"unit,omitempty"`
	Yardstick float64 `json:"yardstick,omitempty"` // in the same unit
	Ratio     float64 `json:"ratio,omitempty"`     // of the figure to the yardstick
	P50       float64 `json:"p50_ms,omitempty"`
	P99       float64 `json:"p99_ms,omitempty"`
	Max       float64 `json:"max_ms,omitempty"`
	// CPU is the processor time of the platform's process, without the
	// database's, for 1,000 operations.
	CPU     float64 `json:"cpu_seconds_per_1000,omitempty"`
	PerCore float64 `json:"per_second_and_core,omitempty"` // what that makes of one core
	// Calls is how often each operation called the database.
	Calls  *float64 `json:"database_calls,omitempty"`
	Target string   `json:"target,omitempty"`
}

func (r *row) cost(perThousand time.Duration) {
	if perThousand > 0 {
		r.CPU = perThousand.Seconds()
		r.PerCore = 1000 / perThousand.Seconds()
	}
}

func (r *row) latency(l latencies) {
	r.P50, r.P99, r.Max = milliseconds(l.p50), milliseconds(l.p99), milliseconds(l.most)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (t table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "commit %s, %s, %s %s, %d cores (%s), engine %s\nload of the machine before the run %s\n%d rounds of %s, medians\n\n",
		t.Setup.Commit, t.Setup.When, t.Setup.Go, t.Setup.System, t.Setup.Cores, t.Setup.CPU, t.Setup.Engine,
		t.Setup.Load, t.Setup.Rounds, t.Setup.Round)
	b.WriteString("| | work | figure | yardstick | ratio | p50 ms | p99 ms | max ms | CPU s per 1,000 | a second and core | calls each | target |\n")
	b.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
	for _, r := range t.Rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
			r.Scenario, r.Work, withUnit(r.Figure, r.Unit), withUnit(r.Yardstick, r.Unit), number(r.Ratio, 2),
			number(r.P50, 2), number(r.P99, 2), number(r.Max, 1), number(r.CPU, 3), number(r.PerCore, 0), r.calls(), r.Target)
	}
	return b.String()
}

func (r row) calls() string {
	if r.Calls == nil {
		return ""
	}
	return fmt.Sprintf("%.3f", *r.Calls)
}

func withUnit(value float64, unit string) string {
	if value == 0 {
		return ""
	}
	return number(value, 0) + " " + unit
}

func number(value float64, digits int) string {
	if value == 0 {
		return ""
	}
	return fmt.Sprintf("%.*f", digits, value)
}

// write puts the table into dir as table.json and table.md.
func (t table) write(dir string) error {
	raw, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	for name, content := range map[string]string{"table.json": string(raw) + "\n", "table.md": t.markdown()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil { //nolint:gosec // results are for everybody to read
			return fmt.Errorf("write the table: %w", err)
		}
	}
	return nil
}
