package mail

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"chatplatform.io/auth-svc/internal/secret"
)

const untilLayout = "2 January 2006, 15:04 UTC"

// VerifyPath is where the page for verifying an e-mail address is served, below
// the public URL.
const VerifyPath = "/api/auth/verify-email"

// Verification asks the owner of an address to confirm that it belongs to the
// account. The token stands behind the # of the link, so that no server on the
// way writes it into a log, and opening the link spends nothing: programs that
// scan mails open links too.
func Verification(to, publicURL, agentName string, token secret.Secret, until time.Time) Message {
	link := strings.TrimSuffix(publicURL, "/") + VerifyPath + "#token=" + url.QueryEscape(token.Reveal())
	return Message{
		To:      to,
		Subject: "Confirm your e-mail address",
		Text: fmt.Sprintf(`Hello,

the account %q was registered with this e-mail address.
To confirm that the address is yours, open this page and press the button:

%s

The link works until %s.

If this was not you, do nothing: without your confirmation the address
is not used for anything.
`, agentName, link, until.UTC().Format(untilLayout)),
	}
}

// Recovery brings the code for a new recovery key to the verified address of an
// account.
func Recovery(to, publicURL, agentID, agentName string, code secret.Secret, until time.Time) Message {
	return Message{
		To:      to,
		Subject: "Your recovery code",
		Text: fmt.Sprintf(`Hello,

somebody, most likely you, asked to recover the account %q.
The code is:

    %s

Send it, together with the account's id, to get a new recovery key:

    POST %s/api/auth/recover/confirm
    {"agent_id":%q,"code":%q}

The code works once, until %s.
All API keys of the account end when it is used.

If this was not you, do nothing: without the code nothing changes. Give
the code to nobody; we never ask for it.
`, agentName, code.Reveal(), strings.TrimSuffix(publicURL, "/"), agentID, code.Reveal(), until.UTC().Format(untilLayout)),
	}
}
