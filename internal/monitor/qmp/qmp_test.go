package qmp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/chardev"
	"goemu/qapi"
)

// service has a command that waits until it is told to end, and the rest of the module yank.
type service struct{ release chan struct{} }

func (s *service) Yank(context.Context, *qapi.YankArg) error {
	s.release <- struct{}{}
	return nil
}

func (s *service) QueryYank(context.Context) ([]*qapi.YankInstance, error) {
	return []*qapi.YankInstance{}, nil
}

func (s *service) QueryChardev(context.Context) ([]*qapi.ChardevInfo, error) {
	<-s.release
	return []*qapi.ChardevInfo{{Label: "x", Filename: "y"}}, nil
}

// chardevs has query-chardev; the rest of the module is not called.
type chardevs struct {
	qapi.CharCommands
	*service
}

func (c chardevs) QueryChardev(ctx context.Context) ([]*qapi.ChardevInfo, error) {
	return c.service.QueryChardev(ctx)
}

// direct runs posted functions at once, one at a time.
type direct struct{ c chan func() }

func newDirect(t *testing.T) direct {
	d := direct{make(chan func(), 1000)}
	go func() {
		for f := range d.c {
			f()
		}
	}()
	t.Cleanup(func() { close(d.c) })
	return d
}

func (d direct) Post(f func()) { d.c <- f }

// client is one end of a monitor's socket.
type client struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

var stamp = regexp.MustCompile(`"timestamp": \{[^}]*\}`)

func (c *client) line() string {
	c.t.Helper()
	require.NoError(c.t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
	s, err := c.r.ReadString('\n')
	require.NoError(c.t, err)
	require.True(c.t, strings.HasSuffix(s, "\r\n"), "%q", s)
	return stamp.ReplaceAllString(strings.TrimSpace(s), `"timestamp": T`)
}

func (c *client) say(text string) string {
	c.t.Helper()
	_, err := c.Write([]byte(text))
	require.NoError(c.t, err)
	return c.line()
}

// newServer makes a server with one monitor and returns what connects to it.
func newServer(t *testing.T, s *service) (*Server, func() *client) {
	r := qapi.NewRegistry()
	qapi.BindYank(r, s)
	qapi.BindChar(r, chardevs{service: s})
	server := &Server{Registry: r, Version: &qapi.VersionInfo{Qemu: &qapi.VersionTriple{Major: 7, Minor: 2}}, Context: t.Context()}
	set := chardev.NewSet(newDirect(t), chardev.Hooks{})
	t.Cleanup(set.Close)
	path := filepath.Join(t.TempDir(), "qmp")
	b, err := set.Open(chardev.NewSpec("mon", "socket", map[string]string{"path": path, "server": "on", "wait": "off"}))
	require.NoError(t, err)
	session, err := server.Open(b, false)
	require.NoError(t, err)
	t.Cleanup(session.Close)
	return server, func() *client {
		conn, err := net.Dial("unix", path)
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		c := &client{conn, t, bufio.NewReader(conn)}
		assert.Equal(t, `{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}`, c.line())
		return c
	}
}

func TestConversation(t *testing.T) {
	s := &service{release: make(chan struct{}, 1)}
	server, dial := newServer(t, s)
	c := dial()
	server.Emit(&qapi.VserportChangeEvent{Id: "early"}) // before the negotiation: not for this client
	const ok = `{"return": {}}`
	generic := func(text string) string { return `{"error": {"class": "GenericError", "desc": "` + text + `"}}` }
	for _, x := range []struct{ say, want string }{
		{`{"execute": "query-yank"}`, `{"error": {"class": "CommandNotFound", "desc": "Expecting capabilities negotiation with 'qmp_capabilities'"}}`},
		{`{"execute": "qmp_capabilities", "arguments": {"enable": ["odd"]}}`, generic("Parameter 'null' does not accept value 'odd'")},
		{`{"execute": "qmp_capabilities", "arguments": {"x": 1}}`, generic("Parameter 'x' is unexpected")},
		{`{"execute": "qmp_capabilities"}`, ok},
		{`{"execute": "qmp_capabilities"}`, `{"error": {"class": "CommandNotFound", "desc": "Capabilities negotiation is already complete, command ignored"}}`},
		{`{"execute": "query-yank", "id": {"a": [1]}}`, `{"return": [], "id": {"a": [1]}}`},
		{`{"execute": "nosuch", "id": null}`, `{"id": null, "error": {"class": "CommandNotFound", "desc": "The command nosuch has not been found"}}`},
		{`[]`, generic("QMP input must be a JSON object")},
		{`{}`, generic("QMP input lacks member 'execute'")},
		{`{"execute": 1}`, generic("QMP input member 'execute' must be a string")},
		{`{"exec-oob": "query-yank"}`, generic("QMP input member 'exec-oob' is unexpected")},
		{`{"execute": "query-yank", "arguments": []}`, generic("QMP input member 'arguments' must be an object")},
		{`{"execute": "query-yank", "odd": 1}`, generic("QMP input member 'odd' is unexpected")},
		{`{"execute": "yank"}`, generic("Parameter 'instances' is missing")},
		{`{"execute": "yank", "arguments": {"instances": [{"type": "chardev"}]}}`, generic("Parameter 'instances[0].id' is missing")},
		{`{"execute": nope}`, generic("JSON parse error, invalid keyword 'nope'")},
	} {
		assert.Equal(t, x.want, c.say(x.say), x.say)
	}
	server.Emit(&qapi.StopEvent{})
	assert.Equal(t, `{"timestamp": T, "event": "STOP"}`, c.line())
}

// TestOutOfBand: such a command is answered while one in band runs.
func TestOutOfBand(t *testing.T) {
	s := &service{release: make(chan struct{})}
	_, dial := newServer(t, s)
	c := dial()
	assert.Equal(t, `{"return": {}}`, c.say(`{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}`))
	_, err := c.Write([]byte(`{"execute": "query-chardev", "id": 1}`))
	require.NoError(t, err)
	assert.Equal(t, `{"return": [], "id": 2}`, c.say(`{"exec-oob": "query-yank", "id": 2}`))
	assert.Equal(t, `{"id": 3, "error": {"class": "GenericError", "desc": "The command query-chardev does not support OOB"}}`,
		c.say(`{"exec-oob": "query-chardev", "id": 3}`))
	close(s.release)
	assert.Equal(t, `{"return": [{"frontend-open": false, "filename": "y", "label": "x"}], "id": 1}`, c.line())
}

// TestVanishingClient: a reply goes to the client that asked, and the next one begins anew.
func TestVanishingClient(t *testing.T) {
	s := &service{release: make(chan struct{})}
	server, dial := newServer(t, s)
	c := dial()
	c.say(`{"execute": "qmp_capabilities"}`)
	_, err := c.Write([]byte(`{"execute": "query-chardev"}`))
	require.NoError(t, err)
	assert.Eventually(t, func() bool { return server.sessions[0].Ready() == 0 }, 20*time.Second, time.Millisecond)
	_, err = c.Write([]byte(`{"execute": "query-chardev"}{"execute": "que`)) // left unread while the command before runs
	require.NoError(t, err)
	c.Close()
	next := dial()
	close(s.release)
	assert.Equal(t, `{"return": {}}`, next.say(`{"execute": "qmp_capabilities"}`))
	assert.Equal(t, `{"return": []}`, next.say(`{"execute": "query-yank"}`))
	server.Emit(&qapi.StopEvent{})
	assert.Equal(t, `{"timestamp": T, "event": "STOP"}`, next.line())
}

// TestPipedClient: one that says everything at once and then ends its input gets all answers, as scripts around socat and nc expect.
func TestPipedClient(t *testing.T) {
	const commands, length = 300, 1000 // more input and output than the queues of the device hold
	_, dial := newServer(t, &service{})
	for range 3 {
		c := dial()
		id := strings.Repeat("x", length)
		var all strings.Builder
		all.WriteString(`{"execute": "qmp_capabilities"}`)
		for range commands {
			fmt.Fprintf(&all, `{"execute": "query-yank", "id": %q}`, id)
		}
		go func() {
			_, _ = c.Write([]byte(all.String()))
			_ = c.Conn.(*net.UnixConn).CloseWrite()
		}()
		assert.Equal(t, `{"return": {}}`, c.line())
		for range commands {
			require.Equal(t, fmt.Sprintf(`{"return": [], "id": %q}`, id), c.line())
		}
		_, err := c.r.ReadByte()
		assert.Equal(t, io.EOF, err)
	}
}

// TestSlowClient: events for a client that does not read are bounded, and hold nobody up.
func TestSlowClient(t *testing.T) {
	s := &service{release: make(chan struct{})}
	server, dial := newServer(t, s)
	c := dial()
	c.say(`{"execute": "qmp_capabilities"}`)
	for range 300000 {
		server.Emit(&qapi.StopEvent{})
	}
	assert.Less(t, server.sessions[0].conn.Load().Queued(), maxQueued+1<<20)
}

// TestUnreadAnswers: nothing more is taken from a client that does not read what it is told, until it does.
func TestUnreadAnswers(t *testing.T) {
	s := &service{release: make(chan struct{})}
	server, dial := newServer(t, s)
	c := dial()
	c.say(`{"execute": "qmp_capabilities"}`)
	const commands, unread = 400, 16 << 20
	command := `{"execute": "query-yank", "id": "` + strings.Repeat("x", 100<<10) + `"}`
	sent := make(chan error, 1)
	go func() {
		for range commands {
			if _, err := c.Write([]byte(command)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	queued := server.sessions[0].conn.Load().Queued
	assert.Eventually(t, func() bool { return queued() > unread }, 60*time.Second, time.Millisecond)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(60*time.Second)))
	for i := range commands {
		assert.Less(t, queued(), unread+len(command)*2)
		line, err := c.r.ReadString('\n')
		require.NoError(t, err, "answer %d", i)
		require.Contains(t, line, "return")
	}
	require.NoError(t, <-sent)
}
