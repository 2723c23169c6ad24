package nbd

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"goemu/block"
	proto "goemu/block/nbdproto"
	"goemu/internal/sockaddr"
	"goemu/internal/tlscreds"

	"golang.org/x/sys/unix"
)

// exportMark introduces the export's name in the older form of filenames.
const exportMark = ":exportname="

// parseFilename turns nbd:HOST:PORT, nbd:unix:PATH (each perhaps with :exportname=NAME) and URIs into options.
func parseFilename(filename string, o *block.Options) error {
	for _, name := range o.Names() {
		switch {
		case name == "host", name == "port", name == "path", name == "export", strings.HasPrefix(name, "server."):
			return block.Errorf(unix.EINVAL, "Option '%s' cannot be used with a file name", name)
		}
	}
	if strings.Contains(filename, "://") {
		if !parseURI(filename, o) {
			return block.Errorf(unix.EINVAL, "No valid URL specified")
		}
		return nil
	}
	if file, export, ok := strings.Cut(filename, exportMark); ok {
		if export == "" {
			return nil
		}
		filename = file
		o.Set("export", export)
	}
	spec, ok := strings.CutPrefix(filename, "nbd:")
	if !ok {
		return block.Errorf(unix.EINVAL, "File name string for NBD must start with 'nbd:'")
	}
	if spec == "" {
		return nil
	}
	if path, ok := strings.CutPrefix(spec, "unix:"); ok {
		setUnix(o, path)
		return nil
	}
	a, err := sockaddr.ParseInet(spec)
	if err != nil {
		return convert(err)
	}
	setInet(o, a.Host, a.Port)
	return nil
}

func setUnix(o *block.Options, path string) {
	o.Set("server.type", string(sockaddr.Unix))
	o.Set("server.path", path)
}

func setInet(o *block.Options, host, port string) {
	o.Set("server.type", string(sockaddr.Inet))
	o.Set("server.host", host)
	o.Set("server.port", port)
}

// parseURI reads nbd[+tcp]://HOST[:PORT]/[EXPORT] and nbd+unix:///[EXPORT]?socket=PATH.
func parseURI(s string, o *block.Options) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return false
	}
	isUnix := u.Scheme == "nbd+unix"
	if !isUnix && u.Scheme != name && u.Scheme != "nbd+tcp" {
		return false
	}
	if export := strings.TrimPrefix(u.Path, "/"); export != "" {
		o.Set("export", export)
	}
	if isUnix {
		if u.Host != "" || len(query) != 1 || len(query["socket"]) != 1 {
			return false
		}
		setUnix(o, query.Get("socket"))
		return true
	}
	if u.Hostname() == "" || len(query) != 0 {
		return false
	}
	port := u.Port()
	if port == "" || port == "0" {
		port = strconv.Itoa(proto.DefaultPort)
	}
	setInet(o, u.Hostname(), port)
	return true
}

// legacy turns host, port and path into an address.
func legacy(o *block.Options) error {
	path, hasPath := o.TakeString("path")
	host, hasHost := o.TakeString("host")
	port, hasPort := o.TakeString("port")
	switch {
	case !hasPath && !hasHost && !hasPort:
		return nil
	case o.HasPrefix("server"):
		return block.Errorf(unix.EINVAL, "Cannot use 'server' and path/host/port at the same time")
	case hasPath && hasHost:
		return block.Errorf(unix.EINVAL, "path and host may not be used at the same time")
	case hasPort && !hasHost:
		if hasPath {
			return block.Errorf(unix.EINVAL, "port may not be used without host")
		}
		return nil
	case hasPath:
		setUnix(o, path)
		return nil
	case !hasPort:
		port = strconv.Itoa(proto.DefaultPort)
	}
	setInet(o, host, port)
	return nil
}

// takeOptions takes the options of a node.
func (d *disk) takeOptions(g *block.Graph, o *block.Options) (openTimeout time.Duration, err error) {
	if err := legacy(o); err != nil {
		return 0, err
	}
	d.export, d.hasExport = o.TakeString("export")
	creds, hasCreds := o.TakeString("tls-creds")
	host, hasHost := o.TakeString("tls-hostname")
	d.bitmap, _ = o.TakeString("x-dirty-bitmap")
	if d.delay, err = takeSeconds(o, "reconnect-delay"); err != nil {
		return 0, err
	}
	if openTimeout, err = takeSeconds(o, "open-timeout"); err != nil {
		return 0, err
	}
	server := o.Extract("server")
	if server.Len() == 0 {
		return 0, block.Errorf(unix.EINVAL, "NBD server address missing")
	}
	if d.addr, err = sockaddr.FromOptions(server); err != nil {
		return 0, convert(err)
	}
	if len(d.export) > proto.MaxString {
		return 0, block.Errorf(unix.EINVAL, "export name too long to send to server")
	}
	if hasCreds {
		if d.creds, err = tlscreds.Find(g.Object, creds, tlscreds.Client); err != nil {
			return 0, block.Errorf(unix.EINVAL, "%s", err.Error())
		}
		if d.host = host; !hasHost && d.addr.Type == sockaddr.Inet {
			d.host = d.addr.Host
		}
	}
	if len(d.bitmap) > proto.MaxString {
		return 0, block.Errorf(unix.EINVAL, "x-dirty-bitmap query too long to send to server")
	}
	return openTimeout, nil
}

func takeSeconds(o *block.Options, name string) (time.Duration, error) {
	n, err := o.TakeUint(name, 0)
	return time.Duration(min(n, math.MaxUint32)) * time.Second, err
}
