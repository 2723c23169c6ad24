package trace

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPrintf(t *testing.T) {
	var b strings.Builder
	SetOutput(&b)
	Set(Int | Unimp)
	t.Cleanup(func() { Set(0); SetOutput(os.Stderr) })
	Printf(Int, "v=%02x\n", 14)
	Printf(Exec, "not switched on\n")
	Printf(Unimp|GuestErrors, "wrmsr %x", 0x10)
	require.Equal(t, "v=0e\nwrmsr 10", b.String(), "text as given, without level, time or added newline")
}

func TestParse(t *testing.T) {
	set, bad := Parse("int,cpu")
	require.Equal(t, Int|CPU, set)
	require.Empty(t, bad)
	_, bad = Parse("int,nonsense,cpu")
	require.Equal(t, "nonsense", bad)
	set, _ = Parse("all")
	for _, i := range Items {
		require.NotZero(t, set&i.Item, i.Name)
	}
}
