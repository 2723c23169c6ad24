package migration

import (
	"context"
	"fmt"
	"time"

	"goemu/migration/channel"
	"goemu/migration/multifd"
	"goemu/migration/wire"
)

// compression is how pages on several channels are compressed.
func (p *Parameters) compression() multifd.Compression {
	c := multifd.Compression{Method: p.MultifdCompression}
	switch c.Method {
	case "zlib":
		c.Level = int(p.MultifdZlibLevel)
	case "zstd":
		c.Level = int(p.MultifdZstdLevel)
	}
	return c
}

// connectMore opens the channels beside the first.
func (o *outgoing) connectMore(open channel.Opener, uri string) error {
	if !channel.Many(uri) {
		return errOneChannel
	}
	p := o.e.Parameters()
	var list []wire.VectorWriter
	for id := range int(p.MultifdChannels) {
		ch, err := o.open(open, channel.Host(uri))
		if err == nil {
			_, err = ch.Write(multifd.Hello(o.e.M.UUID, id))
		}
		if err != nil {
			return err
		}
		list = append(list, ch)
	}
	var err error
	o.beside, err = multifd.NewSender(list, p.compression())
	return err
}

// closeBeside ends the channels beside the first.
func (o *outgoing) closeBeside() {
	if o.beside == nil {
		return
	}
	o.mu.Lock()
	list := o.channels[1:]
	o.channels = o.channels[:1]
	o.mu.Unlock()
	done := o.get() == Completed
	for _, ch := range list {
		if !done { // something may wait for it
			ch.Shutdown()
		}
	}
	o.beside.Close()
	for _, ch := range list {
		_ = ch.Close()
	}
}

// openBeside takes the channels beside the first, which a source opens in any order.
func (l *loader) openBeside(w *channel.Waiting) error {
	e := l.e
	if w.More == nil {
		return errOneChannel
	}
	p := e.Parameters()
	list := make([]channel.Channel, p.MultifdChannels)
	for n := range list {
		ch, err := w.More(context.Background())
		if err != nil {
			return err
		}
		l.beside = append(l.beside, ch)
		l.stoppable(w)
		id, err := multifd.ReadHello(ch, e.M.UUID, len(list))
		if err == nil && list[id] != nil {
			err = wire.Invalid("multifd: received id '%d' already setup'", id)
		}
		if err != nil {
			return fmt.Errorf("failed to receive packet via multifd channel %d: %w", n, err)
		}
		list[id] = ch
	}
	l.pages = multifd.NewReceiver(p.MultifdCompression)
	l.pages.Find = func(name string) (multifd.Block, bool) {
		b, size, ok := l.ram.Find(name)
		return multifd.Block{RAM: b, Size: size}, ok
	}
	l.pages.OnFail = l.ch.Shutdown
	for _, ch := range list {
		l.pages.Add(ch)
	}
	l.ram.Sync = l.pages.Sync
	return nil
}

// stopBeside lets no more pages come, after which nothing but the loader's goroutine changes memory, and returns what was wrong with the channels.
func (l *loader) stopBeside() error {
	if l.pages == nil {
		return nil
	}
	err := l.pages.Err()
	if !l.pages.Stop() {
		l.shutBeside()
		l.pages.Close()
	}
	return err
}

func (l *loader) shutBeside() {
	for _, ch := range l.beside {
		ch.Shutdown()
	}
}

// patience is how long a source may take to end the channels beside the first once everything is here. QEMU's threads can send a packet
// without pages behind the last mark, and the migration fails if nobody takes it.
const patience = 10 * time.Second

// closeBeside ends the channels beside the first; the source may take so long to end them itself.
func (l *loader) closeBeside(most time.Duration) {
	if most == 0 || l.pages != nil && !l.pages.Wait(most) {
		l.shutBeside()
	}
	if l.pages != nil {
		l.pages.Close()
	}
	for _, ch := range l.beside {
		_ = ch.Close()
	}
}
