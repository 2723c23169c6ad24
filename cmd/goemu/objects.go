package main

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"goemu/hw/qdev"
	"goemu/hw/virtio/rng"
	"goemu/internal/cli"
	"goemu/internal/config"
	"goemu/internal/qom"
	"goemu/qapi"
)

// objects are the user-created objects (-object, object-add).
type objects struct {
	rngs map[string]*rng.Source
	made []madeObject
	tree *qdev.Tree // nil before the machine is made
	used func(id string) bool
}

// madeObject is an object with its place in the tree of objects.
type madeObject struct {
	id   string
	node *qom.Node
}

// add notes that an object was made.
func (h *objects) add(typ, id string, object any, props ...qom.Property) {
	n := qom.New(typ, object)
	for _, p := range props {
		n.AddProperty(p)
	}
	h.made = append(h.made, madeObject{id, n})
	if h.tree != nil {
		h.tree.Objects.MustAdd(id, n)
	}
}

// place returns an object's place in the list, -1 for none.
func (h *objects) place(id string) int {
	return slices.IndexFunc(h.made, func(o madeObject) bool { return o.id == id })
}

// remove takes an object away that nobody uses.
func (h *objects) remove(id string) error {
	i := h.place(id)
	switch {
	case i < 0:
		return fmt.Errorf("object '%s' not found", id)
	case h.used != nil && h.used(id):
		return fmt.Errorf("object '%s' is in use, can not be deleted", id)
	}
	h.made[i].node.Remove()
	h.made = slices.Delete(h.made, i, i+1)
	if s := h.rngs[id]; s != nil {
		s.Close()
		delete(h.rngs, id)
	}
	return nil
}

// objectType is a type that -object takes.
type objectType struct {
	name    string
	options []string // besides id
	help    string
	create  func(h *objects, id string, o config.Options) error
}

var objectTypes = []objectType{
	{"authz-listfile", []string{"filename", "refresh"}, "authz-listfile options:\n  filename=<string>\n  refresh=<bool>\n", tlsObject("authz-listfile")},
	{"authz-simple", []string{"identity"}, "authz-simple options:\n  identity=<string>\n", tlsObject("authz-simple")},
	{"memory-backend-ram", []string{"size"}, "memory-backend-ram options:\n  size=<int>\n", createMemory},
	{"rng-builtin", nil, "There are no options for rng-builtin.\n", createBuiltin},
	{"rng-random", []string{"filename"}, "rng-random options:\n  filename=<string>\n", createRandom},
	{"secret", []string{"data", "file", "format"}, "secret options:\n  data=<string>\n  file=<string>\n  format=<QCryptoSecretFormat>\n", createSecret},
	{"tls-creds-x509", []string{"dir", "endpoint", "verify-peer", "priority", "passwordid", "sanity-check"},
		"tls-creds-x509 options:\n  dir=<string>\n  endpoint=<QCryptoTLSCredsEndpoint>\n  passwordid=<string>\n  priority=<string>\n  sanity-check=<bool>\n  verify-peer=<bool>\n", tlsObject("tls-creds-x509")},
}

// createMemory notes the size of memory for the guest; the machine takes the memory that its property memory-backend names.
func createMemory(h *objects, id string, o config.Options) error {
	text := objectText(o, "size")
	size, err := cli.ParseSize("size", text, 1)
	switch {
	case text == "":
		return errors.New("Parameter 'size' is missing")
	case err != nil:
		return err
	case size == 0:
		return errors.New("property 'size' of memory-backend-ram doesn't take value '0'")
	}
	h.add("memory-backend-ram", id, memoryBackend(size), constant("size", "int", size))
	return nil
}

// memoryBackend is the size of a backend.
type memoryBackend uint64

// createSecret reads a secret.
func createSecret(h *objects, id string, o config.Options) error {
	data, hasData := o.Get("data")
	file, hasFile := o.Get("file")
	switch {
	case hasData && hasFile:
		return errors.New("'file' and 'data' are mutually exclusive")
	case hasFile:
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("Unable to read %s: Failed to open file “%s”: %s", file, file, reason(err))
		}
		data = string(b)
	case !hasData:
		return errors.New("Either 'file' or 'data' must be provided")
	}
	format, _ := o.Get("format")
	switch format {
	case "", "raw":
	case "base64":
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(data))
		if err != nil {
			return fmt.Errorf("Base64 data '%s' is not valid", data)
		}
		data = string(b)
	default:
		return fmt.Errorf("Parameter 'format' does not accept value '%s'", format)
	}
	h.add("secret", id, secret(data), constant("loaded", "bool", true), constant("format", "QCryptoSecretFormat", cmp.Or(format, "raw")))
	return nil
}

// secret is the content of a secret.
type secret string

// objectText is the value of an option as text, be it a number in JSON.
func objectText(o config.Options, name string) string {
	for _, p := range o.Pairs {
		if p.Key == name {
			if text, err := settingText(name, p.Value); err == nil {
				return text
			}
		}
	}
	return ""
}

// makeOne is object-add.
func (h *objects) makeOne(o *qapi.Object) error {
	var opt config.Options
	for name, v := range o.All() {
		text, err := qdev.Text(name, v)
		if err != nil {
			return err
		}
		opt.Pairs = append(opt.Pairs, config.Pair{Key: name, Value: text})
	}
	t, id, err := h.check(opt)
	if err != nil {
		return err
	}
	return t.create(h, id, opt)
}

func createBuiltin(h *objects, id string, _ config.Options) error {
	h.rngs[id] = rng.NewBuiltin(id)
	h.add("rng-builtin", id, h.rngs[id], constant("opened", "bool", true))
	return nil
}

func createRandom(h *objects, id string, o config.Options) error {
	name, _ := o.Get("filename")
	s, err := rng.NewRandom(id, name)
	if err == nil {
		h.rngs[id] = s
		h.add("rng-random", id, s, constant("opened", "bool", true), constant("filename", "string", cmp.Or(name, rng.DefaultFile)))
	}
	return err
}

func findObjectType(name string) *objectType {
	i := slices.IndexFunc(objectTypes, func(t objectType) bool { return t.name == name })
	if i < 0 {
		return nil
	}
	return &objectTypes[i]
}

// create makes the objects that the command line names.
func (h *objects) create(list []config.Options) error {
	h.rngs = map[string]*rng.Source{}
	for _, o := range list {
		t, id, err := h.check(o)
		if err != nil {
			return at(o.Origin, err)
		}
		if err := t.create(h, id, o); err != nil { // no longer about the option: QEMU does not name it either
			return err
		}
	}
	return nil
}

// check finds the type and the identifier of an object and checks the names of its options.
func (h *objects) check(o config.Options) (t *objectType, id string, err error) {
	name, _ := o.Get("qom-type")
	t = findObjectType(name)
	if t == nil {
		return nil, "", fmt.Errorf("Parameter 'qom-type' does not accept value '%s'", name)
	}
	id, ok := o.Get("id")
	if !ok {
		return nil, "", errors.New("Parameter 'id' is missing")
	}
	for _, p := range o.Without("qom-type", "id").Pairs {
		if !slices.Contains(t.options, p.Key) {
			return nil, "", fmt.Errorf("Invalid parameter '%s'", p.Key)
		}
	}
	if h.place(id) >= 0 {
		return nil, "", fmt.Errorf("attempt to add duplicate property '%s' to object (type 'container')", id)
	}
	return t, id, nil
}

// links lets device properties name the objects.
func (h *objects) links(l *qdev.Links) {
	qdev.Link(l, func(id string) (*rng.Source, bool) { s := h.rngs[id]; return s, s != nil })
}

func (h *objects) close() {
	for _, s := range h.rngs {
		s.Close()
	}
}

// find returns an object by its identifier, nil if there is none.
func (h *objects) find(id string) any {
	for _, m := range h.made {
		if m.id == id {
			return m.node.Object()
		}
	}
	return nil
}

func objectNames() (names []string) {
	for _, t := range objectTypes {
		names = append(names, t.name)
	}
	return names
}

func objectHelp(typ string) (string, error) {
	if t := findObjectType(typ); t != nil {
		return t.help, nil
	}
	return "", fmt.Errorf("-object %s,help: Parameter 'qom-type' does not accept value '%s'", typ, typ)
}
