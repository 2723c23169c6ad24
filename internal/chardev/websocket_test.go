package chardev

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wsKey and wsAccept are the example of RFC 6455, 1.3.
const wsKey, wsAccept = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

func wsRequest(header ...string) string {
	return "GET /websockify HTTP/1.1\r\nHost: h:5700\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + wsKey + "\r\n" +
		strings.Join(append(header, "", ""), "\r\n")
}

// wsPair is a client's end and, once the handshake is over, the server's.
func wsPair(t testing.TB, request string, allow func(*http.Request) bool) (client net.Conn, server net.Conn, reply *http.Response) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	deadline := time.Now().Add(10 * time.Second)
	require.NoError(t, a.SetDeadline(deadline))
	require.NoError(t, b.SetDeadline(deadline))
	got := make(chan net.Conn, 1)
	go func() {
		c, err := StartWebsocket(b, allow)
		if err != nil {
			b.Close()
		}
		got <- c
	}()
	_, err := io.WriteString(a, request)
	require.NoError(t, err)
	reply, err = http.ReadResponse(bufio.NewReader(a), nil)
	require.NoError(t, err)
	return a, <-got, reply
}

func TestWebsocketHandshake(t *testing.T) {
	version := "Sec-WebSocket-Version: 13"
	for _, c := range []struct {
		name, request, protocol string
		status                  int
	}{
		{"no protocols", wsRequest(version), "", 101},
		{"protocol", wsRequest(version, "Sec-WebSocket-Protocol: base64, binary"), "binary", 101},
		{"only another protocol", wsRequest(version, "Sec-WebSocket-Protocol: base64"), "", 400},
		{"old version", wsRequest("Sec-WebSocket-Version: 8"), "", 400},
		{"no upgrade", "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: " + wsKey + "\r\n" + version + "\r\n\r\n", "", 400},
		{"another method", strings.Replace(wsRequest(version), "GET", "HEAD", 1), "", 400},
		{"refused", wsRequest(version, "Origin: http://evil.example"), "", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, server, reply := wsPair(t, c.request, func(r *http.Request) bool { return r.Header.Get("Origin") == "" })
			assert.Equal(t, c.status, reply.StatusCode)
			assert.Equal(t, c.protocol, reply.Header.Get("Sec-WebSocket-Protocol"))
			assert.Equal(t, c.status == 101, server != nil)
			if c.status == 101 {
				assert.Equal(t, wsAccept, reply.Header.Get("Sec-WebSocket-Accept"))
			}
		})
	}
}

// wsFrame is a client's frame, masked.
func wsFrame(op byte, data []byte) []byte {
	mask := []byte{1, 2, 3, 4}
	f := []byte{0x80 | op}
	switch n := len(data); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	default:
		f = append(f, 0x80|126, byte(n>>8), byte(n))
	}
	f = append(f, mask...)
	for i, b := range data {
		f = append(f, b^mask[i&3])
	}
	return f
}

func TestWebsocketFrames(t *testing.T) {
	a, server, _ := wsPair(t, wsRequest("Sec-WebSocket-Version: 13"), nil)
	long := bytes.Repeat([]byte("0123456789"), 100)
	go func() {
		for _, f := range [][]byte{wsFrame(2, []byte("hello ")), wsFrame(9, []byte("are you there")), wsFrame(2, long), wsFrame(8, nil)} {
			_, _ = a.Write(f)
		}
	}()
	pong := make(chan []byte, 1)
	go func() {
		b := make([]byte, 15)
		_, _ = io.ReadFull(a, b)
		pong <- b
	}()
	got := make([]byte, 6+len(long))
	_, err := io.ReadFull(server, got)
	require.NoError(t, err)
	assert.Equal(t, "hello "+string(long), string(got))
	assert.Equal(t, "\x8a\x0dare you there", string(<-pong))
}

// FuzzWebsocket: whatever a client sends, the server's end returns, with an error at the latest when the client has gone.
func FuzzWebsocket(f *testing.F) {
	f.Add([]byte(wsRequest("Sec-WebSocket-Version: 13")), wsFrame(2, []byte("x")))
	f.Add([]byte("GET"), []byte{0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, request, frames []byte) {
		a, b := net.Pipe()
		go func() {
			_, _ = a.Write(request)
			_, _ = a.Write(frames)
			a.Close()
		}()
		drained := make(chan struct{})
		go func() { _, _ = io.Copy(io.Discard, a); close(drained) }()
		if c, err := StartWebsocket(b, nil); err == nil {
			_, _ = io.Copy(io.Discard, c)
		}
		b.Close()
		<-drained
	})
}
