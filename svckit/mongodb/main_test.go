package mongodb_test

import (
	"os"
	"testing"

	"chatplatform.io/svckit/svctest"
)

func TestMain(m *testing.M) { os.Exit(svctest.Run(m)) }
