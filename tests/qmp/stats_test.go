package qmp

import (
	"context"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// times are the members of statistics that no two runs have in common.
var times = regexp.MustCompile(`("[a-z_]*(time|latency|depth)[a-z_]*": )[0-9.e+-]+`)

// TestStatistics counts requests of people's qemu-io: good ones, malformed ones and those that fail, with options of -drive about that.
func TestStatistics(t *testing.T) {
	testprog.QEMU(t)
	const drive = "-drive if=none,id=d,file=blkdebug::null-co://,format=raw,file.image.read-zeroes=on,file.inject-error.event=write_aio,file.inject-error.sector=64,"
	commands := []string{"aio_read 0 64k 4k", "aio_read -i 0 512", "aio_write 0 8k", "aio_write -i 0 512", "aio_write 32k 512", "aio_read 7", "aio_flush"}
	for _, options := range []string{"stats-intervals.0=3600,stats-intervals.1=60", "stats-account-invalid=off,stats-account-failed=off"} {
		args := append([]string{"-accel", "tcg", "-M", "none", "-nodefaults"}, strings.Fields(drive+options)...)
		q, g := start(t, oracle, "-qmp", args...), start(t, testprog.Goemu(t), "-qmp", args...)
		var got []string
		for _, m := range []*machine{q, g} {
			lines := []string{`{"execute": "qmp_capabilities"}`}
			for _, c := range commands {
				lines = append(lines, `{"execute": "human-monitor-command", "arguments": {"command-line": "qemu-io d \"`+c+`\""}}`)
			}
			_, err := io.WriteString(m.in, strings.Join(append(lines, `{"execute": "query-blockstats"}`), "\n"))
			require.NoError(t, err)
			for { // what qemu-io says of requests comes in between, whenever they end
				s, err := m.out.ReadString('\n')
				require.NoError(t, err)
				if strings.Contains(s, "rd_operations") {
					got = append(got, nodes.ReplaceAllString(times.ReplaceAllString(s, "${1}N"), "#N"))
					break
				}
			}
		}
		assert.Equal(t, got[0], got[1], options)
	}
}

// TestStatisticsOptions compares what is said about options of statistics that are wrong.
func TestStatisticsOptions(t *testing.T) {
	testprog.QEMU(t)
	for _, o := range []string{"stats-intervals.0=0", "stats-intervals.0=x", "stats-intervals.1=5", "stats-intervals.x=5", "stats-account-failed=7"} {
		args := []string{"-accel", "tcg", "-M", "none", "-nodefaults", "-display", "none", "-drive", "if=none,id=d,driver=null-co,read-zeroes=on," + o}
		assert.Equal(t, ends(t, oracle, args...), ends(t, testprog.Goemu(t), args...), o)
	}
}

// ends runs an emulator that refuses its options and returns what it says, without its name.
func ends(t *testing.T, bin string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput()
	assert.Error(t, err, "%v", args)
	_, text, _ := strings.Cut(string(out), ": ")
	return text
}
