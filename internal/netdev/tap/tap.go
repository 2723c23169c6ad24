// Package tap is the back ends tap and bridge: interfaces of the host that carry Ethernet frames.
package tap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"goemu/internal/netdev"
	"goemu/qapi"
)

// Places and names unless the user says otherwise.
const (
	device        = "/dev/net/tun"
	defaultScript = "/etc/qemu-ifup"
	defaultDown   = "/etc/qemu-ifdown"
	defaultBridge = "br0"
	defaultHelper = "/usr/lib/qemu/qemu-bridge-helper"
	defaultName   = "tap%d"
	noScript      = "no"
	maxQueues     = 1024
)

// header is the size of the header before each frame: virtio's in its short form, in the host's byte order.
const header = 10

var ne = binary.NativeEndian

// port is a queue of an interface.
type port struct {
	netdev.Pump
	f    *os.File
	vnet bool
	down string // program to run at the end
	name string
}

// newPort takes a descriptor over.
func newPort(s *netdev.Set, kind, id string, fd, index int, vnet bool, peer *netdev.Client) (*port, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("Failed to set FD nonblocking: %s", netdev.Reason(err))
	}
	p := &port{vnet: vnet}
	p.f = os.NewFile(uintptr(fd), device) // after it is nonblocking, so that reads wait in the poller
	if vnet {
		if err := setHeader(fd, header); err != nil {
			p.vnet = false
		}
		_ = setOffloads(fd, 0)
	}
	p.Init()
	c := &netdev.Client{Name: id, Kind: kind, Model: kind, Index: index, Offloads: p.vnet, VnetHdr: p.vnet}
	if p.vnet && setOffloads(fd, unix.TUN_F_CSUM|unix.TUN_F_UFO) == nil {
		c.UFO = true
		_ = setOffloads(fd, 0)
	}
	p.SetClient(s.Add(c, p, peer))
	go p.read() // until Close
	go p.write()
	return p, nil
}

// SetOffloads implements netdev.OffloadPort.
func (p *port) SetOffloads(o netdev.GuestOffloads) {
	if !p.vnet {
		return
	}
	var bits uintptr
	if o.Csum {
		bits = unix.TUN_F_CSUM
		for bit, on := range map[uintptr]bool{unix.TUN_F_TSO4: o.TSO4, unix.TUN_F_TSO6: o.TSO6, unix.TUN_F_UFO: o.UFO, unix.TUN_F_TSO_ECN: o.ECN && (o.TSO4 || o.TSO6)} {
			if on {
				bits |= bit
			}
		}
	}
	raw, err := p.f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		if setOffloads(int(fd), bits) != nil { // a host that does not segment UDP
			_ = setOffloads(int(fd), bits&^unix.TUN_F_UFO)
		}
	})
}

// Receive implements netdev.Port.
func (p *port) Receive(data []byte, off *netdev.Offload) bool {
	if !p.vnet {
		return p.Push(nil, data)
	}
	var h [header]byte
	if off != nil {
		h[0], h[1] = off.Flags, off.GSOType
		ne.PutUint16(h[2:], off.HdrLen)
		ne.PutUint16(h[4:], off.GSOSize)
		ne.PutUint16(h[6:], off.CsumStart)
		ne.PutUint16(h[8:], off.CsumOffset)
	}
	return p.Push(h[:], data)
}

func (p *port) write() {
	var list [][]byte
	for {
		if list = p.Next(list); list == nil {
			return
		}
		for _, b := range list {
			_, _ = p.f.Write(b) // what the interface refuses is lost, as on a wire
		}
	}
}

func (p *port) read() {
	b := make([]byte, header+netdev.MaxFrame)
	for {
		n, err := p.f.Read(b)
		if err != nil {
			return
		}
		data := b[:n]
		var off *netdev.Offload
		if p.vnet {
			if n < header {
				continue
			}
			data = b[header:n]
			if b[0]&netdev.NeedsCsum != 0 || b[1] != netdev.GSONone {
				off = &netdev.Offload{Flags: b[0], GSOType: b[1], HdrLen: ne.Uint16(b[2:]), GSOSize: ne.Uint16(b[4:]), CsumStart: ne.Uint16(b[6:]), CsumOffset: ne.Uint16(b[8:])}
			}
		}
		if !p.Deliver(data, off) {
			return
		}
	}
}

// Close implements netdev.Port.
func (p *port) Close() {
	p.Pump.Close()
	_ = p.f.Close()
	if p.down != "" {
		_ = launch(p.down, p.name)
	}
}

// launch runs a script for an interface.
func launch(script, name string) error {
	cmd := exec.Command(script, name)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return fmt.Errorf("network script %s failed with status %d", script, exit.Sys().(syscall.WaitStatus))
	case err != nil:
		return fmt.Errorf("could not launch network script %s: %s", script, netdev.Reason(err))
	}
	return nil
}

func text(p *string, def string) string {
	if p == nil {
		return def
	}
	return *p
}

// Open is the Opener of the kind tap.
func Open(s *netdev.Set, n *qapi.Netdev, peer *netdev.Client) error {
	o := n.Tap
	queues := 1
	if o.Queues != nil {
		queues = int(*o.Queues)
	}
	switch own := o.Ifname != nil || o.Script != nil || o.Downscript != nil || o.VnetHdr != nil || o.Helper != nil || o.Queues != nil; {
	case o.Vhost != nil && *o.Vhost:
		return qapi.Errorf("vhost-net requested but could not be initialized")
	case peer != nil && (o.Fds != nil || queues > 1):
		return qapi.Errorf("Multiqueue tap cannot be used with hubs")
	case o.Fd != nil && (own || o.Fds != nil):
		return qapi.Errorf("ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, fds=, and vhostfds= are invalid with fd=")
	case o.Fds != nil && own:
		return qapi.Errorf("ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, and vhostfd= are invalid with fds=")
	case o.Helper != nil && (o.Ifname != nil || o.Script != nil || o.Downscript != nil || o.VnetHdr != nil || o.Queues != nil):
		return qapi.Errorf("ifname=, script=, downscript=, vnet_hdr=, queues=, and vhostfds= are invalid with helper=")
	case queues < 1 || queues > maxQueues:
		return qapi.Errorf("Parameter 'queues' expects a number of queues from 1 to %d", maxQueues)
	}
	switch {
	case o.Fd != nil:
		return openFDs(s, n.Id, []string{*o.Fd}, peer)
	case o.Fds != nil:
		return openFDs(s, n.Id, strings.Split(*o.Fds, ":"), peer)
	case o.Helper != nil:
		p, err := openHelper(s, "tap", n.Id, *o.Helper, text(o.Br, defaultBridge), peer)
		if err == nil {
			p.Client().SetInfo("helper=%s", *o.Helper)
		}
		return err
	}
	return openNew(s, n.Id, o, queues, peer)
}

// openFDs takes interfaces that others have opened.
func openFDs(s *netdev.Set, id string, names []string, peer *netdev.Client) error {
	for i, name := range names {
		fd, err := netdev.TakeFD(name)
		if err != nil {
			return err
		}
		_, flags, err := getInterface(fd)
		if err != nil {
			return fmt.Errorf("Unable to query TUNGETIFF on FD %d: %s", fd, netdev.Reason(err))
		}
		p, err := newPort(s, "tap", id, fd, i, flags&unix.IFF_VNET_HDR != 0, peer)
		if err != nil {
			return err
		}
		p.Client().SetInfo("fd=%d", fd)
	}
	return nil
}

// openNew makes an interface with its queues.
func openNew(s *netdev.Set, id string, o *qapi.NetdevTapOptions, queues int, peer *netdev.Client) error {
	name := text(o.Ifname, defaultName)
	script, down := text(o.Script, defaultScript), text(o.Downscript, defaultDown)
	for i := range queues {
		fd, vnet, real, err := openQueue(name, o, queues > 1)
		if err != nil {
			return err
		}
		name = real
		if i == 0 && script != "" && script != noScript {
			if err := launch(script, name); err != nil {
				_ = unix.Close(fd)
				return err
			}
		}
		p, err := newPort(s, "tap", id, fd, i, vnet, peer)
		if err != nil {
			return err
		}
		p.name = name
		if i == 0 && down != "" && down != noScript {
			p.down = down
		}
		p.Client().SetInfo("ifname=%s,script=%s,downscript=%s", name, script, down)
	}
	return nil
}

// openQueue opens a queue of an interface.
func openQueue(name string, o *qapi.NetdevTapOptions, multi bool) (fd int, vnet bool, real string, err error) {
	if fd, err = unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return fd, false, "", fmt.Errorf("could not open %s: %s", device, netdev.Reason(err))
	}
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if o.VnetHdr == nil || *o.VnetHdr {
		vnet = features(fd)&unix.IFF_VNET_HDR != 0
		if !vnet && o.VnetHdr != nil {
			_ = unix.Close(fd)
			return fd, false, "", errors.New("vnet_hdr=1 requested, but no kernel support for IFF_VNET_HDR available")
		}
	}
	if vnet {
		flags |= unix.IFF_VNET_HDR
	}
	if multi {
		flags |= unix.IFF_MULTI_QUEUE
	}
	if real, err = setInterface(fd, name, flags); err != nil {
		_ = unix.Close(fd)
		shown := device
		if name != defaultName {
			shown = fmt.Sprintf("%s (%s)", device, name)
		}
		return fd, false, "", fmt.Errorf("could not configure %s: %s", shown, netdev.Reason(err))
	}
	sndbuf := uint64(math.MaxInt32)
	if o.Sndbuf != nil && *o.Sndbuf != 0 {
		sndbuf = min(uint64(*o.Sndbuf), math.MaxInt32)
	}
	if err := setSendBuffer(fd, int(sndbuf)); err != nil && o.Sndbuf != nil {
		_ = unix.Close(fd)
		return fd, false, "", fmt.Errorf("TUNSETSNDBUF ioctl failed: %s", netdev.Reason(err))
	}
	return fd, vnet, real, nil
}

// OpenBridge is the Opener of the kind bridge.
func OpenBridge(s *netdev.Set, n *qapi.Netdev, peer *netdev.Client) error {
	helper, br := text(n.Bridge.Helper, defaultHelper), text(n.Bridge.Br, defaultBridge)
	p, err := openHelper(s, "bridge", n.Id, helper, br, peer)
	if err == nil {
		p.Client().SetInfo("helper=%s,br=%s", helper, br)
	}
	return err
}

// openHelper takes the interface that a program opens at a bridge.
func openHelper(s *netdev.Set, kind, id, helper, br string, peer *netdev.Client) (*port, error) {
	fd, err := runHelper(helper, br)
	if err != nil {
		return nil, err
	}
	_, flags, _ := getInterface(fd)
	return newPort(s, kind, id, fd, 0, flags&unix.IFF_VNET_HDR != 0, peer)
}

// runHelper lets a program open an interface at a bridge; it hands the descriptor over through a socket, which is its descriptor 3. A
// command with blanks is the shell's.
func runHelper(helper, br string) (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socketpair() failed: %s", netdev.Reason(err))
	}
	theirs := os.NewFile(uintptr(pair[1]), "helper")
	defer unix.Close(pair[0])
	args := []string{"--use-vnet", "--fd=3", "--br=" + br}
	cmd := exec.Command(helper, args...)
	if strings.ContainsAny(helper, " \t") {
		line := helper + " --use-vnet --fd=3"
		if !strings.Contains(helper, "--br=") {
			line += " --br=" + br
		}
		cmd = exec.Command("/bin/sh", "-c", line)
	}
	cmd.ExtraFiles, cmd.Stderr = []*os.File{theirs}, os.Stderr
	if err := cmd.Start(); err != nil {
		_ = theirs.Close()
		return -1, errors.New("bridge helper failed")
	}
	_ = theirs.Close()
	fd, rerr := receiveFD(pair[0])
	if err := cmd.Wait(); err != nil || rerr != nil {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		return -1, errors.New("bridge helper failed")
	}
	return fd, nil
}

// receiveFD waits for a descriptor on a socket.
func receiveFD(sock int) (int, error) {
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	for {
		_, n, _, _, err := unix.Recvmsg(sock, b, oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return -1, err
		}
		list, err := unix.ParseSocketControlMessage(oob[:n])
		if err != nil || len(list) == 0 {
			return -1, errors.New("no descriptor")
		}
		fds, err := unix.ParseUnixRights(&list[0])
		if err != nil || len(fds) == 0 {
			return -1, errors.New("no descriptor")
		}
		return fds[0], nil
	}
}
