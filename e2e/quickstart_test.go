package e2e_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// script runs bash and gives what it printed and logged.
func script(t *testing.T, env []string, args ...string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", args...)
	cmd.Env = append(os.Environ(), env...)
	var out, logged strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &logged
	require.NoError(t, cmd.Run(), "%s\n%s", out.String(), logged.String())
	return out.String(), logged.String()
}

func TestQuickstartRunsAsPublished(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := h.start(t)

	stdout, stderr := script(t, []string{"BASE_URL=" + s.URL}, "quickstart.sh")

	require.Equal(t, "201\n201\n200\n201\n201\n201\n201\n", stderr, "the status of each answer")
	var answers []answer
	for line := range strings.Lines(stdout) {
		require.True(t, json.Valid([]byte(line)), line)
		answers = append(answers, answer{body: line})
	}
	require.Len(t, answers, 7)
	registered, key, token, group, message, target, direct := answers[0], answers[1], answers[2], answers[3], answers[4], answers[5], answers[6]

	agentID := registered.text(t, "agent_id")
	require.Regexp(t, `^agt_[0-9a-z]{20}$`, agentID)
	require.Equal(t, "weather-bot", registered.text(t, "agent_name"))
	require.NotEmpty(t, registered.text(t, "warning"))
	require.Equal(t, true, registered.at(t, "email_verification_sent"))
	moment(t, registered.text(t, "created_at"))
	moment(t, registered.text(t, "email_verification_expires_at"))
	requireFits(t, agentID, registered.text(t, "recovery_key"))

	require.Regexp(t, `^aky_[0-9a-z]{20}$`, key.text(t, "key_id"))
	require.Equal(t, "cli", key.text(t, "name"))
	require.Equal(t, []any{"messages:read", "messages:write", "conversations:read"}, key.at(t, "scopes"))
	require.Nil(t, key.at(t, "expires_at"))
	requireFits(t, agentID, key.text(t, "api_key"))

	require.Equal(t, "Bearer", token.text(t, "token_type"))
	require.InDelta(t, 900, token.at(t, "expires_in"), 1)
	require.Equal(t, "messages:read messages:write conversations:read", token.text(t, "scope"))

	conversation := group.text(t, "conversation_id")
	require.Regexp(t, `^conv_[0-9a-f-]{36}$`, conversation)
	require.Equal(t, "Project Team", group.text(t, "name"))
	require.Equal(t, "group", group.text(t, "type"))

	requireMessage(t, message, agentID, conversation, "Hello from my first integration")
	require.NotEqual(t, conversation, direct.text(t, "conversation_id"))
	requireMessage(t, direct, agentID, direct.text(t, "conversation_id"), "Hello directly")

	found := s.must(t, 200, "POST", "/api/conversations", bearer(token.text(t, "access_token")),
		object{"type": "direct", "members": []string{target.text(t, "agent_id")}})
	require.Equal(t, direct.text(t, "conversation_id"), found.text(t, "conversation_id"), "the shortcut made the direct conversation")
	requireOneMail(t, h, "bot@example.com")
}

func requireMessage(t *testing.T, message answer, sender, conversation, content string) {
	t.Helper()
	require.Regexp(t, `^msg_[0-9a-z]{39}$`, message.text(t, "message_id"))
	require.Equal(t, conversation, message.text(t, "conversation_id"))
	require.Equal(t, sender, message.text(t, "sender_id"))
	require.Equal(t, content, message.text(t, "content"))
	require.Equal(t, "text", message.text(t, "type"))
	require.Equal(t, "sent", message.text(t, "status"))
	require.InDelta(t, 1, message.at(t, "seq"), 0)
	moment(t, message.text(t, "created_at"))
}

// requireFits holds what lets the commands work as printed everywhere: base64
// on Linux breaks lines after 76 characters, which is 57 bytes, and a header
// with a line break in it is refused.
func requireFits(t *testing.T, id, secret string) {
	t.Helper()
	require.LessOrEqual(t, len(id+":"+secret), 57)
}

func moment(t *testing.T, text string) {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05.000Z", text)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, 25*time.Hour)
}

func requireOneMail(t *testing.T, h home, to string) {
	t.Helper()
	mails := h.mails(t)
	require.Len(t, mails, 1)
	require.Contains(t, mails[0], to)
}

func TestQuickstartKeepsToThePublishedCommands(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("quickstart.sh")
	require.NoError(t, err)
	published, err := os.ReadFile("testdata/quickstart.txt")
	require.NoError(t, err)

	var commands []string
	for _, match := range regexp.MustCompile(`(?s)\nANSWER=\$\(\n(curl -X POST \$BASE_URL.*?)\n\)\n`).FindAllStringSubmatch(string(text), -1) {
		commands = append(commands, strings.ReplaceAll(match[1], "$BASE_URL", "https://chat.example.com"))
	}
	require.Equal(t, strings.Split(strings.TrimSpace(string(published)), "\n\n"), commands)
}

func TestPrintedQuickstartCanBePastedTwice(t *testing.T) {
	t.Parallel()
	s := newHome(t).start(t)
	names := map[string]bool{}
	for range 2 {
		stdout, stderr := script(t, nil, "-c", s.Quickstart())
		require.Empty(t, stderr)
		for _, step := range []string{"1. Register", "2. Make", "3. Change", "4. Create", "5. Send"} {
			require.Contains(t, stdout, step)
		}
		name := regexp.MustCompile(`weather-bot-\S+`).FindString(stdout)
		require.NotEmpty(t, name)
		names[name] = true
		last := stdout[strings.LastIndex(strings.TrimSpace(stdout), "\n")+1:]
		message := answer{body: last}
		require.Equal(t, "Hello from my first integration", message.text(t, "content"))
		require.Equal(t, "sent", message.text(t, "status"))
	}
	require.Len(t, names, 2, "a name of its own each time")
	require.Contains(t, s.Stdout(), s.URL+"/docs")
}
