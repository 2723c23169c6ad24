package qio

// The details that "help COMMAND" shows below the command's line.
const (
	readHelp = `
 reads bytes from an offset on

 Example:
 'read -v 512 1k' - reads 1 kilobyte from offset 512 and shows it

 -b, -- read the VM state, not the disk
 -C, -- statistics in a form for programs
 -l, -- length of the part compared with -P
 -p, -- has no effect
 -P, -- compare the bytes read with this one
 -q, -- no statistics
 -s, -- beginning of the part compared with -P
 -v, -- show the bytes

`
	readvHelp = `
 reads bytes from an offset on into several buffers

 Example:
 'readv -v 512 1k 1k' - reads 2 kilobytes from offset 512 and shows them

 -C, -- statistics in a form for programs
 -P, -- compare the bytes read with this one
 -v, -- show the bytes
 -q, -- no statistics

`
	writeHelp = `
 writes bytes from an offset on

 Example:
 'write 512 1k' - writes 1 kilobyte at offset 512

 The bytes are 0xcd unless another one is given.
 -b, -- write the VM state, not the disk
 -c, -- write compressed
 -f, -- bring the data to stable storage
 -n, -- with -z, fail rather than write slowly
 -p, -- has no effect
 -P, -- the byte to be written
 -s, -- write a file's content, as often as necessary
 -C, -- statistics in a form for programs
 -q, -- no statistics
 -u, -- with -z, blocks may be given back
 -z, -- write zeroes as such

`
	writevHelp = `
 writes bytes from several buffers from an offset on

 Example:
 'writev 512 1k 1k' - writes 2 kilobytes at offset 512

 The bytes are 0xcd unless another one is given.
 -P, -- the byte to be written
 -C, -- statistics in a form for programs
 -f, -- bring the data to stable storage
 -q, -- no statistics

`
	aioReadHelp = `
 reads bytes from an offset on while the next commands run

 Example:
 'aio_read -v 512 1k 1k' - reads 2 kilobytes from offset 512 and shows them

 'aio_flush' waits for the request. The command succeeds when the request is on its
 way, whatever becomes of it.
 -C, -- statistics in a form for programs
 -P, -- compare the bytes read with this one
 -i, -- count an invalid request, for the statistics
 -v, -- show the bytes
 -q, -- no statistics

`
	aioWriteHelp = `
 writes bytes from an offset on while the next commands run

 Example:
 'aio_write 512 1k 1k' - writes 2 kilobytes at offset 512

 The bytes are 0xcd unless another one is given. 'aio_flush' waits for the request.
 The command succeeds when the request is on its way, whatever becomes of it.
 -P, -- the byte to be written
 -C, -- statistics in a form for programs
 -f, -- bring the data to stable storage
 -i, -- count an invalid request, for the statistics
 -q, -- no statistics
 -u, -- with -z, blocks may be given back
 -z, -- write zeroes as such

`
	discardHelp = `
 gives bytes from an offset on back

 Example:
 'discard 512 1k' - gives 1 kilobyte at offset 512 back

 -C, -- statistics in a form for programs
 -q, -- no statistics

`
	openHelp = `
 opens a file for the commands that follow

 Example:
 'open -n -o driver=raw /tmp/data' - opens a raw file past the host's cache

 -r, -- read only
 -s, -- write into a temporary file
 -C, -- copy what is read from backing files
 -n, -- bypass the host's cache, as -t none
 -U, -- let others write the file meanwhile
 -k, -- kernel's asynchronous I/O, as -i native
 -i, -- kind of asynchronous I/O (threads, native or io_uring)
 -t, -- cache mode
 -d, -- discard mode
 -o, -- options of the block driver
`
	reopenHelp = `
 changes the options of the open file

 Example:
 'reopen -o lazy-refcounts=on' - from now on the refcounts of a qcow2 file are written late

 -r, -- read only
 -w, -- read and write
 -c, -- cache mode
 -o, -- options of the block driver, as for 'open'

`
	sigraiseHelp = `
 raises a signal

 Example:
 'sigraise 15' - raises SIGTERM

`
)

// The command help refers to the list of commands, which cannot contain it therefore.
var helpCommand = cmd{name: "help", alt: "?", most: 1, noImage: true, args: "[command]", oneline: "help for one or all commands"}

// help lists the commands or explains one.
func (s *session) help(args []string) error {
	if len(args) < 2 {
		for _, c := range commands() {
			s.helpLine(c.name, &c)
		}
		s.Printf("\nUse 'help commandname' for extended help.\n")
		return nil
	}
	c := find(args[1])
	if c == nil {
		s.Printf("command %s not found\n", args[1])
		return errCommand
	}
	s.helpLine(args[1], c)
	s.Printf("%s", c.help)
	return nil
}

func (s *session) helpLine(name string, c *cmd) {
	s.Printf("%s ", name)
	if c.args != "" || c.name == "map" {
		s.Printf("%s ", c.args)
	}
	s.Printf("-- %s\n", c.oneline)
}
