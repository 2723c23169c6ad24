package qmp

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestGuestEvents does to the ports of pc what a guest does that sets its clock and then saves itself to its disk: both tell the same.
func TestGuestEvents(t *testing.T) {
	testprog.QEMU(t)
	const seconds = 86400 // from the start of the clock to the time that is set
	writes := []string{
		"o/b 0x70 0xb", "o/b 0x71 0x82", // no updates, 24 hours in BCD
		"o/b 0x70 7", "o/b 0x71 3", "o/b 0x70 4", "o/b 0x71 4", "o/b 0x70 2", "o/b 0x71 5", "o/b 0x70 0", "o/b 0x71 6",
		"o/b 0x70 0xb", "o/b 0x71 2",
		"o/w 0xcf8 0x80000b40", "o/w 0xcfc 0x601", "o/w 0xcf8 0x80000b80", "o/b 0xcfc 1", // the ports of power management
		"o/h 0x604 0x2800", // sleep type 2
	}
	for _, bin := range []string{oracle, testprog.Goemu(t)} {
		m := start(t, bin, "-qmp", "-accel", "tcg", "-M", "pc", "-S", "-no-shutdown", "-rtc", "base=2005-01-02T04:05:06")
		lines := m.say(`{"execute": "qmp_capabilities"}`)
		for _, w := range writes {
			lines = append(lines, m.say(fmt.Sprintf(`{"execute": "human-monitor-command", "arguments": {"command-line": %q}}`, w))...)
		}
		var names []string
		for _, l := range append(lines, m.say(`{"execute": "query-status"}`)...) {
			if !strings.Contains(l, `"event": `) {
				continue
			}
			var ev struct {
				Event string
				Data  struct {
					Offset float64
					Path   string `json:"qom-path"`
				}
			}
			require.NoError(t, json.Unmarshal([]byte(strings.Replace(l, `"timestamp": T`, `"timestamp": 0`, 1)), &ev), l)
			names = append(names, ev.Event)
			if ev.Event == "RTC_CHANGE" {
				require.InDelta(t, seconds, ev.Data.Offset, 600, "%s: %s", bin, l)
				require.Contains(t, ev.Data.Path, "/machine/unattached/device[", bin)
			}
		}
		require.Subset(t, names, []string{"RTC_CHANGE", "SUSPEND_DISK"}, bin)
	}
}
