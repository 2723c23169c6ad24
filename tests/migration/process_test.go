package migration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

func TestMain(m *testing.M) { testprog.Main(m) }

// process is an emulator that is driven over QMP.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.Writer
	out    *bufio.Reader
	events []string // names, of MIGRATION with the state
	errs   *output
}

// output collects what a process prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// limit is how long anything may take.
const limit = 4 * time.Minute

// launch starts an emulator, goemu unless bin names another one.
func launch(t *testing.T, bin string, args ...string) *process {
	t.Helper()
	if bin == "" {
		bin = testprog.Goemu(t)
	}
	p := &process{t: t, cmd: exec.Command(bin, append(args, "-qmp", "stdio")...), errs: new(output)}
	p.cmd.Stderr = p.errs
	in, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.in, p.out = in, bufio.NewReader(out)
	require.NoError(t, p.cmd.Start())
	timer := time.AfterFunc(limit, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) }) // an emulator of ours tells where it hangs
	t.Cleanup(func() {
		timer.Stop()
		_ = p.cmd.Process.Kill()
		p.wait()
	})
	p.line()
	p.must("qmp_capabilities", nil)
	return p
}

// wait waits for the end of the process and returns its status.
func (p *process) wait() int {
	if p.cmd.ProcessState == nil {
		_, _ = io.Copy(io.Discard, p.out)
		_ = p.cmd.Wait()
	}
	return p.cmd.ProcessState.ExitCode()
}

type message struct {
	Event  string
	Data   map[string]any
	Return any
	Error  *struct{ Class, Desc string }
}

func (p *process) line() (m message, ok bool) {
	b, err := p.out.ReadBytes('\n')
	if err != nil {
		return m, false
	}
	require.NoError(p.t, json.Unmarshal(b, &m), string(b))
	if m.Event != "" {
		name := m.Event
		if s, ok := m.Data["status"].(string); ok && name == "MIGRATION" {
			name += " " + s
		}
		p.events = append(p.events, name)
	}
	return m, true
}

// do sends a command and returns what it returns, or the text of its error.
func (p *process) do(name string, args map[string]any) (ret any, desc string) {
	p.t.Helper()
	c := map[string]any{"execute": name}
	if args != nil {
		c["arguments"] = args
	}
	b, err := json.Marshal(c)
	require.NoError(p.t, err)
	_, _ = p.in.Write(append(b, '\n'))
	for {
		m, ok := p.line()
		switch {
		case !ok:
			require.Fail(p.t, name+": the emulator has ended", p.errs.String())
		case m.Event != "":
		case m.Error != nil:
			return nil, m.Error.Desc
		default:
			return m.Return, ""
		}
	}
}

func (p *process) must(name string, args map[string]any) any {
	p.t.Helper()
	ret, desc := p.do(name, args)
	require.Empty(p.t, desc, name)
	return ret
}

func (p *process) refused(want, name string) {
	p.t.Helper()
	_, desc := p.do(name, nil)
	require.Equal(p.t, want, desc, name)
}

func (p *process) state() string {
	p.t.Helper()
	return p.must("query-status", nil).(map[string]any)["status"].(string)
}

func (p *process) on(capabilities ...string) {
	p.t.Helper()
	var list []any
	for _, c := range capabilities {
		list = append(list, map[string]any{"capability": c, "state": true})
	}
	p.must("migrate-set-capabilities", map[string]any{"capabilities": list})
}

// until waits until the migration is in one of some states and returns what is known of it.
func (p *process) until(states ...string) map[string]any {
	p.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		i := p.must("query-migrate", nil).(map[string]any)
		if s, _ := i["status"].(string); slices.Contains(states, s) {
			return i
		} else if s == "failed" || s == "cancelled" {
			require.Fail(p.t, "the migration has "+s, "%v\n%s", i, p.errs)
		}
	}
	require.Fail(p.t, "the migration does not end", p.errs.String())
	return nil
}

// event waits for an event.
func (p *process) event(name string) {
	p.t.Helper()
	for !slices.Contains(p.events, name) {
		_, ok := p.line()
		require.True(p.t, ok, "the emulator has ended before %s: %s", name, p.errs.String())
	}
}

// becomes waits until the machine is in a state.
func (p *process) becomes(want string) {
	p.t.Helper()
	for end := time.Now().Add(limit); p.state() != want; time.Sleep(20 * time.Millisecond) {
		require.True(p.t, time.Now().Before(end), "the machine does not get to state %s: %s", want, p.errs.String())
	}
}

// prints waits until the process has printed a text.
func (p *process) prints(text string) {
	p.t.Helper()
	for end := time.Now().Add(limit); !strings.Contains(p.errs.String(), text); time.Sleep(20 * time.Millisecond) {
		require.True(p.t, time.Now().Before(end), "%q is not in %s", text, p.errs)
	}
}
