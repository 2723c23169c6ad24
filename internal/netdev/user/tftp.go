package user

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// TFTP (RFC 1350, RFC 2347 to 2349): operations, errors and sizes.
const (
	tftpRead, tftpData, tftpAck = 1, 3, 4
	tftpError, tftpOptionAck    = 5, 6

	errNotFound, errAccess, errIllegal = 1, 2, 4

	defaultBlock = 512
	maxBlock     = 1428
	maxTransfers = 20
	transferIdle = 5 * time.Second // after which another may take its place
	maxRequests  = 64              // that wait
)

// transfer is a file on its way to a client.
type transfer struct {
	file  *os.File
	block int
	size  int64
	next  uint64 // number of the block that was sent last, from one
	last  time.Time
	done  bool // that block is the file's end
}

// request is a message of a client.
type request struct {
	client, server netip.AddrPort
	b              []byte
}

// tftp is the TFTP server. Files are read on a goroutine of its own, which is there while requests are.
type tftp struct {
	u *Network

	mu      sync.Mutex
	queue   []request // guarded by mu
	running bool      // guarded by mu
	ended   bool      // guarded by mu

	transfers map[netip.AddrPort]*transfer // by client; the running goroutine's
}

func newTFTP(u *Network) *tftp { return &tftp{u: u, transfers: map[netip.AddrPort]*transfer{}} }

// take takes a message.
func (t *tftp) take(client, server netip.AddrPort, b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || len(t.queue) >= maxRequests {
		return
	}
	t.queue = append(t.queue, request{client, server, bytes.Clone(b)})
	if !t.running {
		t.running = true
		go t.run()
	}
}

func (t *tftp) run() {
	for {
		t.mu.Lock()
		if len(t.queue) == 0 || t.ended {
			t.running = false
			if t.ended {
				t.closeAll()
			}
			t.mu.Unlock()
			return
		}
		r := t.queue[0]
		t.queue = t.queue[1:]
		t.mu.Unlock()
		t.serve(r)
	}
}

func (t *tftp) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	if !t.running {
		t.closeAll()
	}
}

func (t *tftp) closeAll() {
	for c := range t.transfers {
		t.end(c)
	}
}

func (t *tftp) end(client netip.AddrPort) {
	if x := t.transfers[client]; x != nil {
		_ = x.file.Close()
		delete(t.transfers, client)
	}
}

func (t *tftp) serve(r request) {
	if len(r.b) < 2 {
		return
	}
	switch be.Uint16(r.b) {
	case tftpRead:
		t.end(r.client)
		t.open(r)
	case tftpAck:
		x := t.transfers[r.client]
		if x == nil || len(r.b) < 4 {
			return
		}
		switch be.Uint16(r.b[2:]) {
		case uint16(x.next):
			if x.done {
				t.end(r.client)
				return
			}
			x.next++
			t.sendBlock(r, x)
		case uint16(x.next - 1): // the block was lost
			if x.next > 0 {
				t.sendBlock(r, x)
			}
		}
	case tftpError:
		t.end(r.client)
	}
}

// open takes a request for reading: name, mode, and pairs of option and value, each with a zero byte at its end.
func (t *tftp) open(r request) {
	if t.u.tftp == "" {
		t.fail(r, errAccess, "Access violation")
		return
	}
	words := strings.Split(string(r.b[2:]), "\x00")
	if len(words) < 3 { // the last one is what follows the last zero
		return
	}
	words = words[:len(words)-1]
	name, mode := words[0], words[1]
	if !strings.EqualFold(mode, "octet") {
		t.fail(r, errIllegal, "Unsupported transfer mode")
		return
	}
	clean := "/" + strings.TrimLeft(name, "/")
	if strings.HasPrefix(name, "../") || strings.HasSuffix(clean, "/") || strings.HasSuffix(clean, "/..") || strings.Contains(clean, "/../") {
		t.fail(r, errAccess, "Access violation")
		return
	}
	f, err := os.Open(filepath.Join(t.u.tftp, filepath.FromSlash(clean)))
	var info os.FileInfo
	if err == nil {
		if info, err = f.Stat(); err != nil || !info.Mode().IsRegular() {
			_ = f.Close()
			f = nil
		}
	}
	if f == nil || err != nil {
		t.fail(r, errNotFound, "File not found")
		return
	}
	x := &transfer{file: f, block: defaultBlock, size: info.Size(), last: time.Now()}
	if !t.room() {
		_ = f.Close()
		return
	}
	t.transfers[r.client] = x
	if ack := x.options(words[2:]); len(ack) > 0 {
		t.send(r, tftpOptionAck, ack)
		return
	}
	x.next = 1
	t.sendBlock(r, x)
}

// room makes room for another transfer, if one is idle.
func (t *tftp) room() bool {
	if len(t.transfers) < maxTransfers {
		return true
	}
	for c, x := range t.transfers {
		if time.Since(x.last) > transferIdle {
			t.end(c)
			return true
		}
	}
	return false
}

// options takes what the client proposes and returns what is accepted.
func (x *transfer) options(words []string) (ack []byte) {
	for ; len(words) >= 2; words = words[2:] {
		v, err := strconv.Atoi(words[1])
		if err != nil {
			continue
		}
		switch {
		case strings.EqualFold(words[0], "tsize") && v == 0:
			ack = append(ack, "tsize\x00"+strconv.FormatInt(x.size, 10)+"\x00"...)
		case strings.EqualFold(words[0], "blksize") && v > 0:
			x.block = min(v, maxBlock)
			ack = append(ack, "blksize\x00"+strconv.Itoa(x.block)+"\x00"...)
		}
	}
	return ack
}

// sendBlock sends the block with the number next.
func (t *tftp) sendBlock(r request, x *transfer) {
	x.last = time.Now()
	b := make([]byte, 2+x.block)
	be.PutUint16(b, uint16(x.next))
	n, err := x.file.ReadAt(b[2:], int64(x.next-1)*int64(x.block))
	if n < x.block {
		if err != nil && n == 0 && int64(x.next-1)*int64(x.block) < x.size {
			t.fail(r, errNotFound, "File not found")
			t.end(r.client)
			return
		}
		x.done = true
	}
	t.send(r, tftpData, b[:2+n])
}

func (t *tftp) fail(r request, code uint16, text string) {
	t.send(r, tftpError, append(be.AppendUint16(nil, code), text+"\x00"...))
}

func (t *tftp) send(r request, op uint16, b []byte) {
	t.u.sendUDP(r.server, r.client, append(be.AppendUint16(nil, op), b...))
}
