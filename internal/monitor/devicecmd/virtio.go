package devicecmd

import (
	"context"
	"slices"
	"strings"

	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/internal/qom"
	"goemu/qapi"
)

// virtioNames are the names of virtio devices that are not those of their types.
var virtioNames = map[string]string{"virtio-keyboard": "virtio-input", "virtio-mouse": "virtio-input", "virtio-tablet": "virtio-input", "vhost-user-fs": "virtio-user-fs"}

// XQueryVirtio implements qapi.VirtioCommands.
func (s *Service) XQueryVirtio(context.Context) ([]*qapi.VirtioInfo, error) {
	list := []*qapi.VirtioInfo{}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t := s.Tree()
	if t == nil {
		return list, nil
	}
	for _, d := range slices.Backward(t.Devices()) {
		if n, name := virtioNode(d); n != nil {
			list = append(list, &qapi.VirtioInfo{Path: n.Path(), Name: name})
		}
	}
	return list, nil
}

// virtioNode is the object of a virtio device, or of the one behind a function of PCI, and its name; nil if it is another device.
func virtioNode(d qdev.Device) (n *qom.Node, name string) {
	if n = d.Dev().QOM(); n == nil {
		return nil, ""
	}
	if behind := n.Child("virtio-backend"); behind != nil {
		n = behind
	}
	name, ok := strings.CutSuffix(n.Type(), "-device")
	if !ok || !strings.HasPrefix(name, "virtio-") && !strings.HasPrefix(name, "vhost-") {
		return nil, ""
	}
	if other := virtioNames[name]; other != "" {
		name = other
	}
	return n, name
}

// hmpVirtio is the command info virtio.
func (s *Service) hmpVirtio(m *hmp.Monitor, _ *hmp.Args) error {
	list, err := s.XQueryVirtio(m.Context())
	if len(list) == 0 && err == nil {
		m.Printf("No VirtIO devices\n")
	}
	for _, v := range list {
		m.Printf("%s [%s]\n", v.Path, v.Name)
	}
	return err
}
