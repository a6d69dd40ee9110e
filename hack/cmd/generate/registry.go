package main

import (
	authsvc "chatplatform.io/auth-svc"
	chatsvc "chatplatform.io/chat-svc"
	"chatplatform.io/local"
)

// tables names the settings that the README files describe, a line for each
// program that reads an environment.
func tables() []table {
	return []table{
		{"README.md", local.Config{}},
		{"auth-svc/README.md", authsvc.Config{}},
		{"chat-svc/README.md", chatsvc.Config{}},
	}
}
