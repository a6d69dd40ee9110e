package fault_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/fault"
)

func TestAddingLeavesTheDeclaredFaultAlone(t *testing.T) {
	t.Parallel()
	cause := errors.New("the database said no")
	f := fault.ErrConflict.Say("taken: %s", "ada").With("field", "name").With("limit", 3).After(2 * time.Second).Because(cause)
	require.Equal(t, "taken: ada", f.Message)
	require.Equal(t, map[string]any{"field": "name", "limit": 3}, f.Details)
	require.Equal(t, 2*time.Second, f.RetryAfter)
	require.ErrorIs(t, f, fault.ErrConflict)
	require.ErrorIs(t, f, cause)
	require.Contains(t, f.Error(), "the database said no", "logs have the cause")

	require.Nil(t, fault.ErrConflict.Details)
	require.Zero(t, fault.ErrConflict.RetryAfter)
	require.NotErrorIs(t, fault.ErrConflict, cause)
	one := fault.ErrInvalid.With("field", "a")
	other := one.With("field", "b")
	require.Equal(t, "a", one.Details["field"])
	require.Equal(t, "b", other.Details["field"])
}

func TestOf(t *testing.T) {
	t.Parallel()
	plain := errors.New("plain")
	tests := map[string]struct {
		err  error
		code string
	}{
		"a fault":             {fault.ErrNotFound, "NOT_FOUND"},
		"one that is wrapped": {fmt.Errorf("find x: %w", fault.ErrNotFound.Say("no")), "NOT_FOUND"},
		"the first of two":    {errors.Join(fault.Field("a", "bad"), fault.ErrConflict), "INVALID_REQUEST"},
		"anything else":       {plain, "INTERNAL_ERROR"},
		"nothing":             {nil, "INTERNAL_ERROR"},
	}
	for outcome, tt := range tests {
		require.Equal(t, tt.code, fault.Of(tt.err).Code, outcome)
	}
	require.ErrorIs(t, fault.Of(plain), plain)
	require.NotContains(t, fault.Of(plain).Message, "plain")
}

func TestField(t *testing.T) {
	t.Parallel()
	f := fault.Field("scopes", "%q is unknown", "x")
	require.Equal(t, `scopes: "x" is unknown`, f.Message)
	require.Equal(t, "scopes", f.Details["field"])
	require.Equal(t, fault.Invalid, f.Kind)
	require.NotErrorIs(t, f, fault.ErrNotFound)
	require.NotErrorIs(t, f, errors.New("x"))
}
