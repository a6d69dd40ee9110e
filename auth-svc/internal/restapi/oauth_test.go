package restapi

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/fault"
)

func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{
		"grant_type=client_credentials&scope=messages%3Aread+llm%3Achat", "a=1&a=1", "a=%zz", "a;b", "&&&", "=x", "a=&b=",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		form, err := parseForm(raw)
		if err != nil {
			require.Equal(t, fault.Invalid, fault.Of(err).Kind)
			require.Nil(t, form)
			return
		}
		values := url.Values{}
		for name, value := range form {
			require.NotEmpty(t, value, "what has no value is left out")
			values.Set(name, value)
		}
		again, err := parseForm(values.Encode())
		if len(values.Encode()) <= maxForm {
			require.NoError(t, err)
			require.Equal(t, form, again)
		}
	})
}
