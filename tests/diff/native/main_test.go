package native

import (
	"testing"

	"goemu/internal/testprog"
)

func TestMain(m *testing.M) { testprog.Main(m) }
