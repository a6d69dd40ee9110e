// Package routes says which service answers which path of the public origin.
//
// This is the only route table. Whatever stands before the services serves it
// or is made from it, so that a path means the same everywhere. Rules never
// overlap: no path is covered by two of them, and their order means nothing.
//
// Some paths are never in it: /metrics, /readyz and what lies under /internal/
// are served on each service's second listener. /health is not in it either:
// each service has its own, and so has what stands before them.
package routes

import "strings"

// A Service is the name of a service, as it is everywhere: of its folder, its
// database, its credential and its logs.
type Service string

// The services that the table names.
const (
	Auth Service = "auth-svc"
	Chat Service = "chat-svc"
)

// Match says how much of a path a rule's pattern must cover.
type Match uint8

const (
	// Exact covers the pattern alone.
	Exact Match = iota
	// Prefix covers the pattern and everything beneath it, segment by segment:
	// /a/b covers /a/b and /a/b/c, and not /a/bc.
	Prefix
)

// A Rule gives the paths of a pattern to a service.
type Rule struct {
	Service Service
	// Pattern is a path without a trailing slash. A segment in braces, {id},
	// stands for any one segment that is not empty.
	Pattern string
	Match   Match
}

// A Table is a set of rules that do not overlap.
type Table []Rule

// Public is the table of the platform.
func Public() Table {
	return Table{
		{Auth, "/api/auth", Prefix},
		{Auth, "/api/agents/{agent_id}", Exact},
		{Auth, "/api/agents/{agent_id}/keys", Prefix},
		{Auth, "/api/agents/{agent_id}/profile", Exact},
		{Auth, "/api/signIn", Exact},
		{Auth, "/api/getMe", Exact},
		{Auth, "/api/getUser", Exact},
		{Auth, "/api/getUsers", Exact},
		{Auth, "/.well-known/jwks.json", Exact},
		{Auth, "/.well-known/oauth-authorization-server", Exact},
		{Chat, "/api/messages", Prefix},
		{Chat, "/api/conversations", Prefix},
		{Chat, "/api/blocks", Prefix},
		{Chat, "/api/getChats", Exact},
		{Chat, "/api/getChat", Exact},
		{Chat, "/api/startChat", Exact},
		{Chat, "/api/sendMessage", Exact},
		{Chat, "/api/getChatHistory", Exact},
		{Chat, "/api/markRead", Exact},
		{Chat, "/api/deleteMessages", Exact},
		{Chat, "/api/events", Prefix},
		{Chat, "/api/ws", Exact},
		{Chat, "/api/sendChatAction", Exact},
	}
}

// Find gives the service that answers path, which is taken as the client wrote
// it, without its query. A path that is not plain belongs to no service.
func (t Table) Find(path string) (Service, bool) {
	if !plain(path) {
		return "", false
	}
	for _, rule := range t {
		if rule.Covers(path) {
			return rule.Service, true
		}
	}
	return "", false
}

// Covers reports whether path is one of the rule's.
func (r Rule) Covers(path string) bool {
	want, rest := r.Pattern, path
	for want != "" {
		var wanted, found string
		wanted, want = cut(want)
		found, rest = cut(rest)
		if found == "" || found != wanted && !IsWildcard(wanted) {
			return false
		}
	}
	return rest == "" || r.Match == Prefix
}

// IsWildcard reports whether a segment of a pattern stands for any segment.
func IsWildcard(segment string) bool {
	return strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}")
}

// cut takes the first segment off a path: /a/b is "a" and "/b".
func cut(path string) (segment, rest string) {
	path = strings.TrimPrefix(path, "/")
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// plain reports whether path can only be read in one way: it begins with a
// slash, has no empty, "." or ".." segment before its end, and no characters
// that some servers decode, rewrite or cut at. No path that is served needs
// any of these, and a proxy in between that reads them its own way could
// otherwise be led to paths that are not public.
func plain(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	for _, c := range []byte(path) {
		if !unambiguous(c) {
			return false
		}
	}
	for rest := path; rest != "" && rest != "/"; {
		var segment string
		segment, rest = cut(rest)
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// unambiguous has the characters of a path (RFC 3986 section 3.3) without the
// percent sign, and without the semicolon, after which some servers stop.
func unambiguous(c byte) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	return letter || strings.IndexByte("/-._~!$&'()*+,=:@", c) >= 0
}
