package local

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMailsGoToTheOutboxUnlessThereIsARelay(t *testing.T) {
	t.Parallel()
	for outcome, tt := range map[string]struct {
		environ []string
		outbox  string
	}{
		"nothing is said": {nil, "data/outbox"},
		"nobody is named": {[]string{"SMTP_HOST="}, "data/outbox"},
		"a relay":         {[]string{"SMTP_HOST=mail.example.com"}, ""},
	} {
		p := &Platform{config: Config{DataDir: "data"}, deps: Deps{Environ: tt.environ}}
		require.Equal(t, tt.outbox, p.authSettings("false")["MAIL_OUTBOX"], outcome)
	}
}
