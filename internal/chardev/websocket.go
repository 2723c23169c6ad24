package chardev

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
)

// The parts of a frame of the websocket protocol (RFC 6455).
const (
	wsFinal, wsMasked = 0x80, 0x80

	wsContinue, wsText, wsBinary = 0, 1, 2
	wsClose, wsPing, wsPong      = 8, 9, 10

	wsLen16, wsLen64 = 126, 127
	wsMaxControl     = 125
	wsMaxFrame       = 1 << 30
	wsMaxRequest     = 4096
)

const (
	wsProtocol = "binary"
	wsGUID     = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

var errWebsocket = errors.New("websocket: protocol error")

// wsConn is the server's end of a websocket: data travels in binary frames.
type wsConn struct {
	net.Conn
	r *bufio.Reader

	left   uint64 // of the frame being read
	mask   [4]byte
	masked int // bytes of the frame unmasked so far
	mu     sync.Mutex
}

// startWebsocket is StartWebsocket for whoever asks.
func startWebsocket(c net.Conn) (net.Conn, error) { return StartWebsocket(c, nil) }

// StartWebsocket answers the request that a connection begins with, unless allow, if it is not nil, refuses it.
func StartWebsocket(c net.Conn, allow func(*http.Request) bool) (net.Conn, error) {
	limit := &io.LimitedReader{R: c, N: wsMaxRequest}
	w := &wsConn{Conn: c, r: bufio.NewReader(limit)}
	req, err := http.ReadRequest(w.r)
	limit.N = math.MaxInt64
	if err != nil {
		return nil, err
	}
	key, protocols := req.Header.Get("Sec-WebSocket-Key"), req.Header.Get("Sec-WebSocket-Protocol")
	if req.Method != http.MethodGet || key == "" || !strings.EqualFold(req.Header.Get("Upgrade"), "websocket") ||
		req.Header.Get("Sec-WebSocket-Version") != "13" || (protocols != "" && !strings.Contains(protocols, wsProtocol)) {
		fmt.Fprintf(c, "HTTP/1.1 400 Bad Request\r\nServer: QEMU VNC\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\n\r\n")
		return nil, errWebsocket
	}
	if allow != nil && !allow(req) {
		fmt.Fprintf(c, "HTTP/1.1 403 Forbidden\r\nServer: QEMU VNC\r\nConnection: close\r\n\r\n")
		return nil, errWebsocket
	}
	sum := sha1.Sum([]byte(key + wsGUID))
	chosen := ""
	if protocols != "" { // a client that named none must not be given one (RFC 6455, 4.1)
		chosen = "Sec-WebSocket-Protocol: " + wsProtocol + "\r\n"
	}
	_, err = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
		base64.StdEncoding.EncodeToString(sum[:]), chosen)
	return w, err
}

// Read implements io.Reader.
func (w *wsConn) Read(p []byte) (int, error) {
	for w.left == 0 {
		if err := w.header(); err != nil {
			return 0, err
		}
	}
	n, err := w.r.Read(p[:min(uint64(len(p)), w.left)])
	w.unmask(p[:n])
	w.left -= uint64(n)
	return n, err
}

func (w *wsConn) unmask(p []byte) {
	for i := range p {
		p[i] ^= w.mask[w.masked&3]
		w.masked++
	}
}

// header reads the beginning of a frame; control frames are dealt with.
func (w *wsConn) header() error {
	var h [14]byte
	if _, err := io.ReadFull(w.r, h[:2]); err != nil {
		return err
	}
	op, size := h[0]&0x0f, uint64(h[1]&0x7f)
	if h[1]&wsMasked == 0 { // clients have to
		return errWebsocket
	}
	switch size {
	case wsLen16:
		if _, err := io.ReadFull(w.r, h[2:4]); err != nil {
			return err
		}
		size = uint64(binary.BigEndian.Uint16(h[2:]))
	case wsLen64:
		if _, err := io.ReadFull(w.r, h[2:10]); err != nil {
			return err
		}
		size = binary.BigEndian.Uint64(h[2:])
	}
	if size > wsMaxFrame {
		return errWebsocket
	}
	if _, err := io.ReadFull(w.r, w.mask[:]); err != nil {
		return err
	}
	w.masked = 0
	if op == wsContinue || op == wsText || op == wsBinary {
		w.left = size
		return nil
	}
	return w.control(op, size)
}

func (w *wsConn) control(op byte, size uint64) error {
	if size > wsMaxControl {
		return errWebsocket
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(w.r, data); err != nil {
		return err
	}
	w.unmask(data)
	switch op {
	case wsClose:
		_ = w.frame(wsClose, data)
		return io.EOF
	case wsPing:
		return w.frame(wsPong, data)
	case wsPong:
		return nil
	}
	return errWebsocket
}

// frame sends one frame.
func (w *wsConn) frame(op byte, data []byte) error {
	h := []byte{wsFinal | op}
	switch n := len(data); {
	case n < wsLen16:
		h = append(h, byte(n))
	case n < 1<<16:
		h = binary.BigEndian.AppendUint16(append(h, wsLen16), uint16(n))
	default:
		h = binary.BigEndian.AppendUint64(append(h, wsLen64), uint64(n))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.Conn.Write(append(h, data...))
	return err
}

// Write implements io.Writer.
func (w *wsConn) Write(p []byte) (int, error) {
	if err := w.frame(wsBinary, p); err != nil {
		return 0, err
	}
	return len(p), nil
}
