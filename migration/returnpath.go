package migration

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"goemu/migration/channel"
	"goemu/migration/wire"
)

// returnPath is what the source hears of the destination.
type returnPath struct {
	done chan struct{}
	mu   sync.Mutex
	err  error // guarded by mu
	shut bool  // guarded by mu: the destination ended the path
}

// maxMessage is the longest message that QEMU takes, maxReason the longest reason.
const maxMessage, maxReason = 512, 4096

func newReturnPath(ch channel.Channel) *returnPath {
	p := &returnPath{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		err := p.listen(ch)
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
	}()
	return p
}

// listen reads messages until the path ends.
func (p *returnPath) listen(r io.Reader) error {
	for {
		kind, data, err := readMessage(r, maxMessage)
		if err != nil {
			return err
		}
		switch kind {
		case wire.RPPong:
			if len(data) != 4 {
				return fmt.Errorf("RP: Received 'PONG' message (0x%04x) withincorrect length %d expecting 4", kind, len(data))
			}
		case wire.RPShut:
			if len(data) != 4 {
				return fmt.Errorf("RP: Received 'SHUT' message (0x%04x) withincorrect length %d expecting 4", kind, len(data))
			}
			p.mu.Lock()
			p.shut = true
			p.mu.Unlock()
			code := binary.BigEndian.Uint32(data)
			if code == 0 {
				return nil
			}
			text := fmt.Sprintf("RP: Sibling indicated error %d", code)
			if kind, reason, err := readMessage(r, maxReason); err == nil && kind == wire.RPReason {
				text += ": " + printable(reason)
			}
			return errors.New(text)
		default:
			return fmt.Errorf("RP: Received invalid message 0x%04x length 0x%04x", kind, len(data))
		}
	}
}

func readMessage(r io.Reader, limit int) (kind uint16, data []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	kind, n := binary.BigEndian.Uint16(head[:]), int(binary.BigEndian.Uint16(head[2:]))
	if n > limit {
		return 0, nil, fmt.Errorf("RP: Received invalid message 0x%04x length 0x%04x", kind, n)
	}
	data = make([]byte, n)
	_, err = io.ReadFull(r, data)
	return kind, data, err
}

// printable keeps what may be shown of a text from elsewhere.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return ' '
		}
		return r
	}, string(b))
}

// failure is an error that the path has shown so far.
func (p *returnPath) failure() error {
	if p == nil {
		return nil
	}
	select {
	case <-p.done:
	default:
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil && p.shut {
		return errors.New("RP: the destination ended the path too early")
	}
	return p.err
}

// lastWords is how long a destination has to say why it gave up.
const lastWords = time.Second

// last waits for the end of a broken path and returns what the destination said of it, nil if it said nothing.
func (p *returnPath) last() error {
	select {
	case <-p.done:
	case <-time.After(lastWords):
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return p.err
	}
	return nil
}

// wait waits until the destination has said that it has everything.
func (p *returnPath) wait(ctx context.Context) error {
	if p == nil {
		return nil
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}
