package verifypage_test

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/auth-svc/internal/verifypage"
)

func TestPolicyAllowsThePagesOwnScriptAndStyleAndNothingElse(t *testing.T) {
	t.Parallel()
	page := verifypage.New()
	policy := page.Headers["Content-Security-Policy"]
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "frame-ancestors 'none'")
	require.NotContains(t, policy, "unsafe")
	require.NotContains(t, policy, "http")
	for _, element := range []string{"script", "style"} {
		blocks := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllSubmatch(page.HTML, -1)
		require.Len(t, blocks, 1, element)
		sum := sha256.Sum256(blocks[0][1])
		require.Contains(t, policy, element+"-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
}

func TestPageLoadsNothing(t *testing.T) {
	t.Parallel()
	html := string(verifypage.New().HTML)
	require.NotRegexp(t, `(?i)https?:|<link|<img|<iframe|<form|\bsrc=|\bon[a-z]+=|@import|url\(`, html)
	require.Contains(t, html, `fetch(location.pathname, {`)
	require.NotContains(t, html, "/*s", "a placeholder was left")
}
