package channel

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPairs sends bytes over every kind of channel.
func TestPairs(t *testing.T) {
	dir := t.TempDir()
	out, in := filepath.Join(dir, "out"), filepath.Join(dir, "sock")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]*os.File{"r": r, "w": w}
	files := func(name string) (*os.File, error) { return named[name], nil }
	for _, c := range []struct{ from, to string }{
		{"unix:" + in, "unix:" + in}, {"exec:cat >" + out, "exec:cat " + out}, {"fd:w", "fd:r"},
	} {
		send := func() {
			open, err := Outgoing(c.from, files)
			var ch Channel
			if err == nil {
				ch, err = open(context.Background())
			}
			if err == nil {
				err = ch.WriteVector([][]byte{[]byte("some "), nil, []byte("bytes")})
			}
			if err == nil {
				err = ch.Close()
			}
			if err != nil {
				t.Error(err)
			}
		}
		if strings.HasPrefix(c.from, "exec") {
			send() // the file must be there
		}
		w, err := Incoming(c.to, files, everybody)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(c.from, "exec") {
			go send()
		}
		ch, err := w.Open(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 10)
		if _, err := io.ReadFull(ch, b); err != nil || string(b) != "some bytes" {
			t.Errorf("%s: %q %v", c.from, b, err)
		}
		_ = ch.Close()
	}
}

// TestRegularFile: the stream begins where the descriptor's offset stands.
func TestRegularFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("headxxxx what was there"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(4, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	ch, err := fromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.WriteVector([][]byte{[]byte("12"), []byte("34")}); err != nil {
		t.Fatal(err)
	}
	_ = ch.Close()
	if b, _ := os.ReadFile(name); string(b) != "head1234 what was there" {
		t.Errorf("%q", b)
	}
}

// TestShutdown: whoever waits for a channel goes on when it is shut down.
func TestShutdown(t *testing.T) {
	for _, uri := range []string{"exec:exec sleep 1000", "exec:cat"} {
		ch, err := command(strings.TrimPrefix(uri, "exec:"))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { _, err := ch.Read(make([]byte, 1)); done <- err }()
		ch.Shutdown()
		select {
		case err := <-done:
			if err == nil {
				t.Error("read something")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("still waiting")
		}
		if ch.cmd.Process != nil {
			_ = ch.cmd.Process.Kill()
		}
	}
}

func TestErrors(t *testing.T) {
	if _, err := Outgoing("ftp:x", nil); err == nil || err.Error() != "Parameter 'uri' expects a valid migration protocol" {
		t.Error(err)
	}
	if _, err := Incoming("ftp:x", nil, everybody); err == nil || err.Error() != "unknown migration protocol: ftp:x" {
		t.Error(err)
	}
	if _, err := Outgoing("fd:nobody", nil); err == nil || err.Error() != "File descriptor named 'nobody' has not been found" {
		t.Error(err)
	}
}

func everybody(c Channel) (Channel, error) { return c, nil }

// TestRefused: a socket waits on when what came is not admitted; of a descriptor there is no second.
func TestRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	n := 0
	w, err := Incoming("unix:"+path, nil, func(c Channel) (Channel, error) {
		if n++; n == 1 {
			return nil, errors.Join(errors.New("no"), c.Close())
		}
		return c, nil
	})
	require.NoError(t, err)
	for range 2 {
		c, err := net.Dial("unix", path)
		require.NoError(t, err)
		defer c.Close()
	}
	ch, err := w.Open(context.Background())
	require.NoError(t, err)
	require.NoError(t, ch.Close())
	require.Equal(t, 2, n)

	w, err = Incoming("exec:echo", nil, func(c Channel) (Channel, error) { return nil, errors.Join(errors.New("no"), c.Close()) })
	require.NoError(t, err)
	_, err = w.Open(context.Background())
	require.ErrorIs(t, err, ErrRefused)
}
