package iotests

import "strings"

// abbreviations are options that several commands have.
var abbreviations = strings.NewReplacer(
	"QUORUM", "driver=quorum,children.0.driver=raw,children.0.file.filename=a.raw,children.1.driver=raw,children.1.file.filename=b.raw,children.2.driver=raw,children.2.file.filename=c.raw",
	"PAIR", "driver=quorum,children.0.driver=raw,children.0.file.filename=a.raw,children.1.driver=raw,children.1.file.filename=b.raw")

// scripts are commands, one a line. Images have their format as extension.
var scripts = []struct{ name, lines string }{
	{"usage", `
qemu-img
qemu-img nosuch
qemu-img info
qemu-img info a b
qemu-img info --nosuch a.raw
qemu-img info nosuch.raw
qemu-img info -f nosuch nosuch.raw
qemu-img info --output=xml a.raw
qemu-img create -f qcow2 a.qcow2
qemu-img create -f nosuch a.raw 1M
qemu-img create -f qcow2 -o nosuch=1 a.qcow2 1M
qemu-img create -f qcow2 -o , a.qcow2 1M
qemu-img create -f raw a.raw 1X
qemu-img create -f raw a.raw 9E
qemu-img create -f raw a.raw -- -1
qemu-img create -f raw a.raw 1M 2M
qemu-img create -f raw -b x a.raw 1M
qemu-img create -f raw -o help
qemu-img convert a.raw
qemu-img convert -c -C a.raw b.raw
qemu-img convert -S 1 a.raw b.raw
qemu-img convert -m 99 a.raw b.raw
qemu-img convert -O nosuch a.raw b.raw
qemu-img convert --target-is-zero a.raw b.raw
qemu-img compare a.raw
qemu-img check
qemu-img check -r some a.raw
qemu-img resize a.raw
qemu-img rebase a.raw
qemu-img snapshot -l -c x a.raw
qemu-img bench --flush-interval=3 a.raw
qemu-img bitmap a.raw x
qemu-img bitmap --add -F raw a.raw x
qemu-img dd if=x
qemu-img dd nosuch=1
qemu-img measure
qemu-img measure --size 1M a.raw
qemu-img commit a b
qemu-img amend a.raw`},
	{"blkdebug and blkverify", `
qemu-img create -f qcow2 -o refcount_bits=-1 a.qcow2 1M
qemu-img create -f raw a.raw 1M
qemu-img create -f qcow2 a.qcow2 1M
qemu-io -c 'open -o driver=raw,file.driver=blkverify,file.raw.filename=a.raw a.qcow2' -c 'write -P 7 64k 128k' -c 'read -P 7 64k 4k' -c flush
qemu-img info --image-opts driver=raw,file.driver=blkverify,file.raw.filename=a.raw,file.x-image=a.qcow2
qemu-img info blkverify:a.raw
qemu-img compare a.raw a.qcow2
qemu-io -c 'open -o file.driver=blkdebug,file.inject-error.event=l2_load a.qcow2' -c 'read 64k 4k'
qemu-io -c 'open -o file.driver=blkdebug,file.inject-error.event=l2_load,file.inject-error.x=y a.qcow2'
qemu-io -f qcow2 -c 'write -P 8 100k 512' a.qcow2
qemu-io -c 'open -o driver=raw,file.driver=blkverify,file.raw.filename=a.raw a.qcow2' -c 'read 0 64k' -c 'read 64k 64k'
qemu-io -f raw -c 'write -P 8 100k 512' a.raw
qemu-io -c 'open a.qcow2' -c 'reopen -o cache-size=1M' -c 'reopen -o l2-cache-size=512k' -c 'reopen -o refcount-cache-size=128k' -c 'reopen -o cache-clean-interval=-1'`},
	{"quorum", `
qemu-img create -f raw a.raw 1M
qemu-img create -f raw b.raw 1M
qemu-img create -f raw c.raw 1M
qemu-img info --image-opts QUORUM,vote-threshold=2
qemu-img info --output=json --image-opts QUORUM,vote-threshold=2,blkverify=off,read-pattern=quorum
qemu-io --image-opts QUORUM,vote-threshold=2 -c 'write -P 7 64k 128k' -c flush -c 'read -P 7 64k 4k' -c 'write -z 64k 4k' -c 'discard 64k 4k' -c 'truncate 2M' -c map
qemu-img map --output=json --image-opts QUORUM,vote-threshold=2
qemu-io -f raw -c 'write -P 8 70k 4k' b.raw
qemu-io --image-opts QUORUM,vote-threshold=2 -c 'read -P 7 68k 124k'
qemu-io --image-opts QUORUM,vote-threshold=2,rewrite-corrupted=on -c 'read -P 7 71k 1k' -c 'read -P 8 70k 1k'
qemu-img compare -f raw -F raw a.raw b.raw
qemu-io --image-opts QUORUM,vote-threshold=2,read-pattern=fifo -c 'read -P 7 70k 4k'
qemu-io -f raw -c 'write -P 9 70k 4k' c.raw
qemu-io --image-opts QUORUM,vote-threshold=2 -c 'read 64k 128k' -c 'read -P 0 0k 1k'
qemu-img convert -O raw --image-opts QUORUM,vote-threshold=3 d.raw
qemu-io --image-opts PAIR,vote-threshold=2,blkverify=on -c 'read 0 64k' -c 'read 64k 64k'
qemu-io -r --image-opts QUORUM,vote-threshold=2,rewrite-corrupted=on -c 'read 0 4k'
qemu-img info --image-opts QUORUM
qemu-img info --image-opts QUORUM,vote-threshold=0
qemu-img info --image-opts QUORUM,vote-threshold=x
qemu-img info --image-opts QUORUM,vote-threshold=4
qemu-img info --image-opts QUORUM,vote-threshold=2,blkverify=on
qemu-img info --image-opts PAIR,vote-threshold=2,blkverify=on,rewrite-corrupted=on
qemu-img info --image-opts QUORUM,vote-threshold=2,read-pattern=x
qemu-img info --image-opts QUORUM,vote-threshold=2,children.4.filename=x
qemu-img info --image-opts QUORUM,vote-threshold=2,children.x=x
qemu-img info --image-opts QUORUM,vote-threshold=2,nosuch=x
qemu-img info --image-opts driver=quorum,vote-threshold=1
qemu-img info --image-opts driver=quorum,vote-threshold=1,children.0=nosuch
qemu-img info json:{"driver":"quorum","vote-threshold":1,"children":[{"driver":"file","filename":"a.raw"},{"driver":"raw","offset":512,"file":{"driver":"file","filename":"b.raw"}}]}
qemu-img info json:{"driver":"quorum","vote-threshold":1,"blkverify":false,"children":[{"driver":"file","filename":"a.raw"}]}
qemu-img info -f quorum a.raw
qemu-img create -f quorum a.raw 1M
qemu-img resize --image-opts QUORUM,vote-threshold=2 2M
qemu-img check --image-opts QUORUM,vote-threshold=2`},
	{"storage daemon", `
qemu-img create -f raw a.raw 1M
qemu-storage-daemon foo
qemu-storage-daemon --nosuch
qemu-storage-daemon --pidfile nosuch/d
qemu-storage-daemon --blockdev help
qemu-storage-daemon --blockdev foo
qemu-storage-daemon --blockdev=raw
qemu-storage-daemon --blockdev {"driver":"file"
qemu-storage-daemon --blockdev file,filename=a.raw
qemu-storage-daemon --blockdev file,node-name=a,filename=nosuch
qemu-storage-daemon --blockdev file,node-name=a,filename=a.raw,foo=bar
qemu-storage-daemon --blockdev file,node-name=a,filename=a.raw --blockdev file,node-name=a,filename=a.raw
qemu-storage-daemon --object throttle-group
qemu-storage-daemon --object throttle-group,id=t,x-bps-total=5,x-iops-total-max=7
qemu-storage-daemon --object throttle-group,id=t,limits.bps-total=5,limits.bps-read=1
qemu-storage-daemon --object throttle-group,id=t,foo=1
qemu-storage-daemon --object throttle-group,help
qemu-storage-daemon --object secret,help
qemu-storage-daemon --object secret,id=s
qemu-storage-daemon --object secret,id=5,data=x
qemu-storage-daemon --object nosuch,id=s
qemu-img create --object authz-simple,id=a -f raw a.raw 1M
qemu-io --object {"qom-type":"secret","id":"s","data":"x","file":"y"} -c quit
qemu-nbd --object tls-creds-x509,id=t,dir=/nonexistent,endpoint=server x
qemu-nbd --object authz-simple,id=a --tls-creds=a x
qemu-nbd --object authz-simple,id=a,identity=b --tls-creds=a x
qemu-storage-daemon --object throttle-group,id=t --object throttle-group,id=t
qemu-storage-daemon --chardev foo
qemu-storage-daemon --chardev foo,id=d
qemu-storage-daemon --nbd-server foo
qemu-storage-daemon --nbd-server addr.type=unix,addr.path=nosuch/n.sock
qemu-storage-daemon --nbd-server addr.type=inet,addr.host=127.0.0.1,addr.port=0,tls-creds=foo
qemu-storage-daemon --export ,
qemu-storage-daemon --export foo
qemu-storage-daemon --export nbd,id=a
qemu-storage-daemon --export nbd,id=a,node-name=a
qemu-storage-daemon --blockdev file,node-name=a,filename=a.raw --export nbd,id=a,node-name=a
qemu-storage-daemon --daemonize --blockdev file`},
	{"sizes", `
qemu-img create -f raw a.raw 1024
qemu-img create -f raw a.raw 1024b
qemu-img create -f raw a.raw 1k
qemu-img create -f raw a.raw 1.5k
qemu-img create -f raw a.raw 0x400
qemu-img create -f raw a.raw 1.5
qemu-img create -f raw a.raw 1kilobyte
qemu-img create -f raw -o size=2M a.raw
qemu-img create -f raw -o size=2M a.raw 1M
qemu-img create -f raw -o size=foo a.raw
qemu-img info -f raw a.raw`},
	{"raw", `
qemu-img create -f raw a.raw 4M
qemu-io -f raw -c 'write -P 0x5a 1M 64k' -c 'read -P 0x5a 1M 64k' -c 'read -P 1 1M 4k' a.raw
qemu-io -f raw -c 'write -z 3M 64k' -c 'writev -P 3 2M 512 1k 2k' -c 'readv -v -P 3 2M 16 16' -c length -c map -c 'alloc 0 4M' a.raw
qemu-io -f raw -c 'read 4M 512' -c 'write 4M 512' -c 'read -1 2' -c 'read 0' -c 'nosuch' -c 'write -z -P 1 0 512' -c 'write -n 0 512' a.raw
qemu-io -f raw -c 'discard 1M 4k' -c 'aio_write -P 7 0 8k' -c aio_flush -c 'aio_read -P 7 0 8k' -c aio_flush -c flush -c info a.raw
qemu-io -f raw -r -c 'write 0 512' a.raw
qemu-io -f raw -c 'sleep 1' -c 'reopen -r' -c 'write 0 512' -c 'reopen -w' -c 'write -P 9 0 512' a.raw -c nosuch
qemu-img info -f raw a.raw
qemu-img info --output=json -f raw a.raw
qemu-img map -f raw a.raw
qemu-img map -f raw --output=json a.raw
qemu-img map -f raw --output=json -s 1M -l 32k a.raw
qemu-img check -f raw a.raw
qemu-img snapshot -l a.raw
qemu-img resize -f raw a.raw 1M
qemu-img resize -f raw --shrink a.raw 3M
qemu-img resize -f raw a.raw +2M
qemu-img resize -f raw a.raw -- -9M
qemu-img convert -p -f raw -O raw a.raw b.raw
qemu-img convert -S 0 -f raw -O raw a.raw c.raw
qemu-img compare -f raw -F raw a.raw b.raw
qemu-img compare -s -f raw -F raw a.raw c.raw
qemu-io -f raw -c 'write -P 1 2M 1k' b.raw
qemu-img compare -f raw -F raw a.raw b.raw
qemu-img compare -q -f raw -F raw a.raw b.raw
qemu-img dd -f raw -O raw bs=64k count=20 skip=3 if=a.raw of=d.raw
qemu-img dd -f raw -O raw bs=1M skip=90 if=a.raw of=e.raw
qemu-img measure -f raw -O raw a.raw
qemu-img measure --output=json --size 1G -O raw`},
	{"qcow2", `
qemu-img create -f qcow2 a.qcow2 64M
qemu-io -c 'write -P 1 0 1M' -c 'write -P 2 10M 3k' -c 'write -z 20M 1M' a.qcow2
qemu-img info a.qcow2
qemu-img info --output=json a.qcow2
qemu-img map --output=json a.qcow2
qemu-img check a.qcow2
qemu-img check --output=json a.qcow2
qemu-img create -q -f qcow2 -o cluster_size=512 tables.qcow2 1M
qemu-io -c 'write 0 200k' tables.qcow2
qemu-img check tables.qcow2
qemu-img snapshot -c one a.qcow2
qemu-io -c 'write -P 3 0 64k' a.qcow2
qemu-img snapshot -l a.qcow2
qemu-img convert -l one -O raw a.qcow2 one.raw
qemu-img convert -l nosuch -O raw a.qcow2 x.raw
qemu-img snapshot -a one a.qcow2
qemu-img snapshot -d 1 a.qcow2
qemu-img snapshot -d one a.qcow2
qemu-img snapshot -d one a.qcow2
qemu-img resize a.qcow2 128M
qemu-img convert -O raw a.qcow2 a.raw
qemu-img convert -f raw -O qcow2 -o compat=0.10,cluster_size=4k a.raw old.qcow2
qemu-img info old.qcow2
qemu-img compare -f raw -F qcow2 a.raw old.qcow2
qemu-img amend -o compat=1.1 old.qcow2
qemu-img measure -O qcow2 a.qcow2
qemu-img measure -O qcow2 --size 1T`},
	{"backing", `
qemu-img create -f qcow2 base.qcow2 8M
qemu-io -c 'write -P 1 0 4M' base.qcow2
qemu-img create -f qcow2 -b base.qcow2 top.qcow2
qemu-img create -f qcow2 -b nosuch.qcow2 -F qcow2 top.qcow2
qemu-img create -f qcow2 -b base.qcow2 -F qcow2 top.qcow2
qemu-img create -f qcow2 -b top.qcow2 -F qcow2 top.qcow2
qemu-io -c 'write -P 2 1M 64k' -c 'read -P 1 0 64k' -c 'read -P 2 1M 64k' top.qcow2
qemu-img info --backing-chain top.qcow2
qemu-img map --output=json top.qcow2
qemu-img map top.qcow2
qemu-img convert -O qcow2 -B base.qcow2 -F qcow2 top.qcow2 copy.qcow2
qemu-img compare top.qcow2 copy.qcow2
qemu-img create -q -f qcow2 other.qcow2 8M
qemu-img rebase -b other.qcow2 -F qcow2 copy.qcow2
qemu-img compare top.qcow2 copy.qcow2
qemu-img rebase -u -b base.qcow2 -F qcow2 copy.qcow2
qemu-img commit top.qcow2
qemu-img commit base.qcow2
qemu-img commit -b nosuch.qcow2 top.qcow2
qemu-img rebase -b nosuch.qcow2 -F qcow2 copy.qcow2`},
	{"bitmaps", `
qemu-img create -f qcow2 a.qcow2 8M
qemu-img bitmap --add -g 32k a.qcow2 b0
qemu-img bitmap --add --disable a.qcow2 b1
qemu-io -c 'write 1M 64k' a.qcow2
qemu-img info a.qcow2
qemu-img bitmap --merge b0 a.qcow2 b1
qemu-img bitmap --remove a.qcow2 b0
qemu-img bitmap --remove a.qcow2 b0
qemu-img bitmap --add -g 3 a.qcow2 b2
qemu-img snapshot -c one a.qcow2
qemu-img snapshot -a one a.qcow2
qemu-img snapshot -d one a.qcow2
qemu-img convert --bitmaps -O qcow2 a.qcow2 b.qcow2
qemu-img info --output=json b.qcow2
qemu-img convert --bitmaps -O raw a.qcow2 c.raw
qemu-img measure --output=json -O qcow2 a.qcow2`},
	{"layout of metadata", `
qemu-img create -f qcow2 -o cluster_size=1M,preallocation=metadata big.qcow2 2100M
qemu-img map big.qcow2
qemu-img create -f qcow2 a.qcow2 4M
qemu-img bitmap --add -g 32k a.qcow2 one
qemu-io -c 'write 0 1M' a.qcow2
qemu-img bitmap --add --disable a.qcow2 two
qemu-io -c 'write 1M 1M' a.qcow2
qemu-img bitmap --add a.qcow2 three
qemu-io -c 'write 2M 64k' a.qcow2
qemu-io -r -f raw -c 'read -v 0 1M' a.qcow2
qemu-io -r -f raw -c 'read -v 3M 1M' a.qcow2`},
	{"writethrough", `
qemu-img create -f qcow2 a.qcow2 4M
qemu-io -c 'write -b 0 512' a.qcow2
qemu-io -t writethrough -c 'open -o file.driver=blkdebug,file.inject-error.event=l2_update a.qcow2' -c 'write -b 0 128k'
qemu-img check -r leaks a.qcow2`},
	{"preallocate", `
qemu-img create -f qcow2 a.qcow2 4M
qemu-io -c 'open -o file.driver=preallocate,file.prealloc-align=4M,file.prealloc-size=16M a.qcow2' -c 'write 0 1M' -c 'write -z 2M 1M' -c map
qemu-io -r -f raw -c length a.qcow2
qemu-io -c 'open -o file.driver=preallocate,file.prealloc-align=100 a.qcow2'`},
	{"qcow", `
qemu-img create -f qcow -o help
qemu-img create -f qcow a.qcow 10M
qemu-img create -f qcow z.qcow 0
qemu-img create -f qcow -o encryption=on e.qcow 1M
qemu-img create -f qcow -o encrypt.format=luks,encrypt.key-secret=s e.qcow 1M
qemu-img info a.qcow
qemu-io -c 'write -P 1 500k 70k' -c 'write -P 2 9M 64k' -c 'read -P 1 510k 4k' -c 'read -P 0 5M 1M' -c map a.qcow
qemu-img map --output=json a.qcow
qemu-img map a.qcow
qemu-img check a.qcow
qemu-img resize a.qcow 20M
qemu-img measure -O qcow a.qcow
qemu-img snapshot -l a.qcow
qemu-img create -f qcow -b a.qcow -F qcow o.qcow
qemu-img info o.qcow
qemu-io -c 'write -P 3 1M 512' -c 'write -P 4 9000k 10k' -c 'read -P 1 510k 4k' -c 'read -P 4 9000k 10k' o.qcow
qemu-img commit o.qcow
qemu-io -c 'read -P 3 1M 512' -c 'write -P 5 500k 1k' a.qcow
qemu-img convert -O qcow a.qcow c.qcow
qemu-img compare a.qcow c.qcow
qemu-io -c 'write -c -P 7 0 4k' -c 'write -c -P 8 2M 4k' -c 'write -P 6 2M 1k' -c 'read -P 6 2M 1k' -c 'read -P 8 2049k 3k' -c 'read -P 7 0 4k' -c map c.qcow
qemu-img convert -O qcow2 c.qcow d.qcow2
qemu-img rebase -u -b d.qcow2 -F qcow2 o.qcow
qemu-io -f raw -c 'write -P 8 32 1' c.qcow
qemu-img info -f qcow c.qcow
qemu-io -f raw -c 'write -P 12 32 1' -c 'write -P 5 33 1' c.qcow
qemu-img info -f qcow c.qcow
qemu-io -f raw -c 'write -P 9 33 1' -c 'write -P 127 24 8' c.qcow
qemu-img info -f qcow c.qcow
qemu-io -f raw -c 'write -P 0 24 8' c.qcow
qemu-img info -f qcow c.qcow
qemu-img info -f qcow d.qcow2
qemu-io -f raw -c 'write -P 160 29 1' c.qcow
qemu-io -f raw -c 'write -P 2 39 1' a.qcow
qemu-img info a.qcow
qemu-io -f raw -c 'write -P 0 39 1' a.qcow`},
	{"parallels", `
qemu-img create -f parallels -o help
qemu-img create -f parallels a.hdd 10M
qemu-img create -f parallels -o cluster_size=5000 s.hdd 3500k
qemu-img create -f parallels -o cluster_size=0 x.hdd 1M
qemu-img create -f parallels -o cluster_size=4G x.hdd 1M
qemu-img create -f parallels -o cluster_size=512 x.hdd 3T
qemu-img info a.hdd
qemu-img info --output=json s.hdd
qemu-io -c 'write -P 1 500k 700k' -c 'write -P 2 9M 64k' -c 'read -P 1 600k 4k' -c 'read -P 0 5M 1M' -c map a.hdd
qemu-io -c 'write -P 3 3M 512' -c 'write -z 0 2M' -c 'discard 0 1M' -c 'read -P 0 1M 1M' -c map s.hdd
qemu-img map --output=json a.hdd
qemu-img check a.hdd
qemu-img check --output=json s.hdd
qemu-img resize a.hdd 20M
qemu-img measure -O parallels a.hdd
qemu-img create -f parallels -b a.hdd -F parallels o.hdd
qemu-img convert -O parallels a.hdd c.hdd
qemu-img convert -O qcow2 c.hdd d.qcow2
qemu-img compare a.hdd d.qcow2
qemu-io -f raw -c 'write -P 0 1M 4M' c.hdd
qemu-img check c.hdd
qemu-img check -r leaks c.hdd
qemu-io -f raw -c 'write -P 0x59 44 1' -c 'write -P 0x6e 45 1' -c 'write -P 0x6f 46 1' -c 'write -P 0x74 47 1' -c 'write -P 99 66 1' c.hdd
qemu-io -c 'write 0 512' c.hdd
qemu-io -r -c 'read -P 0 9M 512' c.hdd
qemu-img check c.hdd
qemu-img check -r all c.hdd
qemu-img check c.hdd
qemu-io -f raw -c 'write -P 0 28 4' c.hdd
qemu-img info -f parallels c.hdd
qemu-io -f raw -c 'write -P 9 31 1' c.hdd
qemu-img info c.hdd
qemu-io -f raw -c 'write -P 0 28 4' -c 'write -P 8 29 1' -c 'write -P 0x40 35 1' c.hdd
qemu-img info c.hdd
qemu-io -f raw -c 'write -P 7 16 1' c.hdd
qemu-img info -f parallels c.hdd`},
	{"vdi", `
qemu-img create -f vdi -o help
qemu-img create -f vdi a.vdi 10M
qemu-img create -f vdi -o static=on s.vdi 3500k
qemu-img create -f vdi big.vdi 600T
qemu-img create -f vdi big.vdi 1M
qemu-img create -f vdi -o static=maybe b.vdi 1M
qemu-img info a.vdi
qemu-img info --output=json s.vdi
qemu-io -c 'write -P 1 500k 700k' -c 'write -P 2 9M 64k' -c 'read -P 1 600k 4k' -c 'read -P 0 5M 1M' -c map a.vdi
qemu-io -c 'write -P 3 3M 512' -c 'write -z 0 2M' -c 'discard 0 1M' -c 'read -P 0 1M 1M' -c map s.vdi
qemu-img map --output=json a.vdi
qemu-img map a.vdi
qemu-img check a.vdi
qemu-img check -r all a.vdi
qemu-img resize a.vdi 20M
qemu-img measure -O vdi a.vdi
qemu-img amend -o size=1M a.vdi
qemu-img snapshot -l a.vdi
qemu-img snapshot -c s a.vdi
qemu-img create -f vdi -b a.vdi -F vdi o.vdi
qemu-img convert -O vdi a.vdi c.vdi
qemu-img convert -O qcow2 c.vdi d.qcow2
qemu-img convert -O vdi -o static=on d.qcow2 e.vdi
qemu-img compare a.vdi e.vdi
qemu-io -f raw -c 'write -P 0 388 1' c.vdi
qemu-img check c.vdi
qemu-io -f raw -c 'write -P 1 512 4' c.vdi
qemu-img check c.vdi
qemu-io -f raw -c 'write -P 0 388 1' -c 'write -P 255 512 4' c.vdi
qemu-io -f raw -c 'write -P 7 376 4' e.vdi
qemu-img info -f vdi e.vdi
qemu-io -f raw -c 'write -P 0 376 4' -c 'write -P 16 378 1' -c 'write -P 9 424 1' e.vdi
qemu-img info e.vdi
qemu-io -f raw -c 'write -P 0 424 1' -c 'write -P 3 384 1' e.vdi
qemu-img info e.vdi
qemu-io -f raw -c 'write -P 10 384 1' -c 'write -P 5 68 1' e.vdi
qemu-img info e.vdi
qemu-io -f raw -c 'write -P 1 68 1' e.vdi`},
	{"vpc", `
qemu-img create -f vpc -o help
qemu-img create -f vpc a.vpc 10M
qemu-img create -f vpc -o subformat=fixed f.vpc 5M
qemu-img create -f vpc -o force_size=on,subformat=dynamic s.vpc 7001k
qemu-img create -f vpc -o force_size=on big.vpc 2041G
qemu-img create -f vpc -o subformat=odd big.vpc 1M
qemu-img create -f vpc -o force_size=maybe big.vpc 1M
qemu-img create -f vpc big.vpc 2000G
qemu-img info big.vpc
qemu-img create -f vpc -o force_size=on big.vpc 2040G
qemu-img info big.vpc
qemu-img create -f vpc big.vpc 130G
qemu-img info a.vpc
qemu-img info --output=json s.vpc
qemu-img info -f vpc f.vpc
qemu-io -c 'write -P 1 500k 2700k' -c 'write -P 2 9M 64k' -c 'read -P 1 600k 4k' -c 'read -P 0 5M 1M' -c map a.vpc
qemu-io -f vpc -c 'write -P 3 3M 512' -c 'write -z 0 2M' -c 'discard 0 1M' -c 'read -P 0 1M 1M' -c map f.vpc
qemu-img map --output=json a.vpc
qemu-img map a.vpc
qemu-img check a.vpc
qemu-img resize a.vpc 20M
qemu-img measure -O vpc a.vpc
qemu-img snapshot -l a.vpc
qemu-img create -f vpc -b a.vpc -F vpc o.vpc
qemu-img convert -O vpc a.vpc c.vpc
qemu-img convert -O qcow2 c.vpc d.qcow2
qemu-img convert -f qcow2 -O vpc -o subformat=fixed d.qcow2 e.vpc
qemu-img compare -F vpc a.vpc e.vpc
qemu-img info --image-opts driver=vpc,force_size_calc=current_size,file.filename=a.vpc
qemu-img info --image-opts driver=vpc,force_size_calc=chs,file.filename=s.vpc
qemu-img info --image-opts driver=vpc,force_size_calc=x,file.filename=s.vpc
qemu-io -f raw -c 'write -P 7 60 1' c.vpc
qemu-img info c.vpc
qemu-io -f raw -c 'write -P 0 60 1' -c 'write -P 0 512 4' c.vpc
qemu-img info c.vpc
qemu-io -f raw -c 'write -P 99 512 1' -c 'write -P 120 513 1' -c 'write -P 115 514 1' -c 'write -P 112 515 1' -c 'write -P 3 544 1' c.vpc
qemu-img info c.vpc
qemu-io -f raw -c 'write -P 0 544 1' -c 'write -P 0 546 1' c.vpc
qemu-img info c.vpc
qemu-io -f raw -c 'write -P 32 546 1' -c 'write -P 0 540 4' c.vpc
qemu-img info c.vpc
qemu-io -f raw -c 'write -P 127 540 1' c.vpc
qemu-img info c.vpc
qemu-img convert -O vpc a.vpc c.vpc
qemu-img create -f raw z.raw 100
qemu-img info -f vpc z.raw
qemu-img info -f vpc d.qcow2`},
	{"vmdk", `
qemu-img create -f vmdk -o help
qemu-img create -f vmdk a.vmdk 100M
qemu-img info a.vmdk
qemu-img info --output=json a.vmdk
qemu-img create -f vmdk -o subformat=monolithicFlat f.vmdk 5M
qemu-img info f.vmdk
qemu-img info --output=json f.vmdk
qemu-img create -f vmdk -o subformat=twoGbMaxExtentSparse s.vmdk 5G
qemu-img info s.vmdk
qemu-img create -f vmdk -o subformat=twoGbMaxExtentFlat sf.vmdk 4G
qemu-img info --output=json sf.vmdk
qemu-img create -f vmdk -o subformat=streamOptimized st.vmdk 10M
qemu-img info st.vmdk
qemu-img info --output=json st.vmdk
qemu-img create -f vmdk -o subformat=odd x.vmdk 10M
qemu-img create -f vmdk -o adapter_type=odd x.vmdk 10M
qemu-img create -f vmdk -o adapter_type=lsilogic x.vmdk 10M
qemu-img create -f vmdk -o compat6=on x.vmdk 10M
qemu-img create -f vmdk -o compat6=on,hwversion=7 x.vmdk 10M
qemu-img create -f vmdk -o hwversion=7,toolsversion=12 x.vmdk 10M
qemu-img create -f vmdk -o subformat=monolithicFlat,zeroed_grain=on x.vmdk 10M
qemu-img create -f vmdk -o subformat=monolithicFlat -b a.vmdk -F vmdk x.vmdk
qemu-img create -f vmdk -o zeroed_grain=on z.vmdk 10M
qemu-img create -f vmdk -b a.vmdk -F vmdk o.vmdk
qemu-img info o.vmdk
qemu-img info --backing-chain o.vmdk
qemu-img create -f raw a.raw 1M
qemu-img create -f vmdk -b a.raw -F raw x.vmdk
qemu-img create -f vmdk -b a.raw x.vmdk
qemu-img create -f vmdk -o backing_file=a.raw x.vmdk
qemu-img create -f vmdk empty.vmdk 0
qemu-img info empty.vmdk
qemu-io -c 'write -P 1 500k 2700k' -c 'write -P 2 9M 64k' -c 'read -P 1 600k 4k' -c 'read -P 0 5M 1M' -c map a.vmdk
qemu-io -c 'write -P 3 1M 512' -c 'read -P 3 1M 512' -c 'read -P 1 1050624 512' -c 'read -P 0 5M 1M' -c map o.vmdk
qemu-io -c 'write -P 3 1M 512' -c 'write -z 0 2M' -c 'discard 0 1M' -c 'read -P 0 1M 1M' -c map f.vmdk
qemu-io -c 'write -P 3 2047M 2M' -c 'read -P 3 2047M 2M' -c map s.vmdk
qemu-io -c 'write -P 3 2047M 2M' -c 'read -P 3 2047M 2M' -c 'write -z 2048M 1M' -c map sf.vmdk
qemu-io -c 'write -P 3 1M 512' -c 'write -P 4 2M 64k' -c 'write -P 4 3M 128k' -c 'read -P 4 2M 64k' -c 'read -P 0 1M 1M' -c 'write -P 5 2M 64k' -c 'write -c -P 6 4M 64k' -c map st.vmdk
qemu-io -c 'write -P 3 0 5M' -c 'write -z 1M 1M' -c 'write -z 3M 3k' -c 'write -P 4 1088k 1k' -c 'read -P 0 1M 64k' -c map z.vmdk
qemu-img map a.vmdk
qemu-img map --output=json o.vmdk
qemu-img map --output=json z.vmdk
qemu-img map --output=json st.vmdk
qemu-img map --output=json sf.vmdk
qemu-img check a.vmdk
qemu-img check -r all a.vmdk
qemu-img check --output=json z.vmdk
qemu-img check st.vmdk
qemu-img check f.vmdk
qemu-img resize a.vmdk 200M
qemu-img snapshot -l a.vmdk
qemu-img snapshot -c x a.vmdk
qemu-img commit o.vmdk
qemu-img amend -o size=1M a.vmdk
qemu-img measure -O vmdk a.vmdk
qemu-img info o.vmdk
qemu-io -c 'read 0 4k' o.vmdk
qemu-img convert -O vmdk a.vmdk b.vmdk
qemu-img compare a.vmdk b.vmdk
qemu-img convert -O vmdk -o subformat=streamOptimized a.vmdk c.vmdk
qemu-img compare a.vmdk c.vmdk
qemu-img convert -O vmdk -c a.vmdk d.vmdk
qemu-img compare a.vmdk d.vmdk
qemu-img convert -O qcow2 c.vmdk c.qcow2
qemu-img compare -F vmdk a.vmdk c.vmdk
qemu-img convert -O vmdk -o subformat=twoGbMaxExtentSparse a.vmdk e.vmdk
qemu-img convert -O vmdk -o subformat=monolithicFlat a.vmdk g.vmdk
qemu-img compare e.vmdk g.vmdk
qemu-img convert -O vmdk -B a.vmdk -F vmdk a.vmdk h.vmdk
qemu-img create -f raw small.raw 3
qemu-img info -f vmdk small.raw
qemu-img info -f vmdk a.raw
qemu-img info -f vmdk c.qcow2
qemu-img info --image-opts driver=vmdk,file.filename=o.vmdk,backing.driver=null-co
qemu-img info --image-opts driver=vmdk,file.filename=o.vmdk,nosuch=1
qemu-io -c 'read 0 1M' --image-opts driver=vmdk,file.filename=o.vmdk,backing.driver=null-co,backing.size=1M
qemu-io -f raw -c 'write -P 9 4 1' d.vmdk
qemu-img info d.vmdk
qemu-io -f raw -c 'write -P 3 4 1' d.vmdk
qemu-img info d.vmdk
qemu-io -c 'write 0 1k' d.vmdk
qemu-io -f raw -c 'write -P 255 45 1' b.vmdk
qemu-img info b.vmdk
qemu-io -f raw -c 'write -P 2 45 1' -c 'write -P 255 21 3' b.vmdk
qemu-img info b.vmdk
qemu-io -f raw -c 'write -P 128 20 1' -c 'write -P 0 21 3' -c 'write -P 255 67 1' b.vmdk
qemu-img info b.vmdk
qemu-img create -f vmdk o.vmdk 1M`},
	{"vhdx", `
qemu-img create -f vhdx -o help
qemu-img create -f vhdx a.vhdx 100M
qemu-img info a.vhdx
qemu-img info --output=json a.vhdx
qemu-img create -f vhdx -o subformat=fixed f.vhdx 20M
qemu-img info f.vhdx
qemu-img create -f vhdx -o subformat=fixed,block_state_zero=off ff.vhdx 20M
qemu-img create -f vhdx -o block_state_zero=off n.vhdx 30M
qemu-img create -f vhdx -o subformat=odd x.vhdx 10M
qemu-img create -f vhdx -o block_size=3M x.vhdx 10M
qemu-img create -f vhdx -o block_size=512M x.vhdx 10M
qemu-img create -f vhdx -o block_size=x x.vhdx 10M
qemu-img create -f vhdx -o log_size=5G x.vhdx 10M
qemu-img create -f vhdx -o log_size=0 x.vhdx 10M
qemu-img create -f vhdx -o block_state_zero=maybe x.vhdx 10M
qemu-img create -f vhdx x.vhdx 65T
qemu-img create -f vhdx e.vhdx 0
qemu-img info e.vhdx
qemu-io -c 'write -P 1 500k 2700k' -c 'write -P 2 90M 64k' -c 'read -P 1 600k 4k' -c 'read -P 0 50M 1M' -c map a.vhdx
qemu-io -c 'write -P 3 1M 512' -c 'write -z 0 2M' -c 'discard 0 1M' -c 'read -P 0 1M 1M' -c map f.vhdx
qemu-io -c 'write -P 3 9M 512' -c 'read -P 3 9M 512' -c 'read -P 0 0 9M' -c map ff.vhdx
qemu-io -c 'write -P 3 29M 1M' -c 'read -P 3 29M 1M' -c 'read -P 0 20M 1M' n.vhdx
qemu-img map a.vhdx
qemu-img map --output=json a.vhdx
qemu-img check a.vhdx
qemu-img check -r all a.vhdx
qemu-img check --output=json ff.vhdx
qemu-img resize a.vhdx 200M
qemu-img snapshot -l a.vhdx
qemu-img snapshot -c x a.vhdx
qemu-img create -f vhdx -b a.vhdx -F vhdx o.vhdx
qemu-img measure -O vhdx a.vhdx
qemu-img convert -O vhdx a.vhdx b.vhdx
qemu-img compare a.vhdx b.vhdx
qemu-img convert -c -O vhdx a.vhdx b.vhdx
qemu-img convert -O vhdx -o subformat=fixed a.vhdx c.vhdx
qemu-img compare a.vhdx c.vhdx
qemu-img convert -O qcow2 c.vhdx c.qcow2
qemu-img compare a.vhdx c.qcow2
qemu-img create -f raw small.raw 3
qemu-img info -f vhdx small.raw
qemu-img info -f vhdx c.qcow2
qemu-io -f raw -c 'write -P 9 65540 4' b.vhdx
qemu-img info b.vhdx
qemu-io -f raw -c 'write -P 9 131076 4' b.vhdx
qemu-img info b.vhdx
qemu-img check c.vhdx
qemu-img check ff.vhdx`},
	{"qed", `
qemu-img create -f qed -o help
qemu-img create -f qed a.qed 100M
qemu-img info a.qed
qemu-img info --output=json a.qed
qemu-img create -f qed -o cluster_size=4k,table_size=2 s.qed 20M
qemu-img create -f qed -o cluster_size=1k x.qed 20M
qemu-img create -f qed -o cluster_size=5000 x.qed 20M
qemu-img create -f qed -o table_size=3 x.qed 20M
qemu-img create -f qed -o table_size=32 x.qed 20M
qemu-img create -f qed x.qed 65T
qemu-img create -f qed x.qed 1000
qemu-img info x.qed
qemu-img create -f raw r.raw 10M
qemu-io -f raw -c 'write -P 7 0 10M' r.raw
qemu-img create -f qed -b r.raw -F raw o.qed
qemu-img create -f qed -b a.qed -F qed oo.qed
qemu-img info o.qed
qemu-img info oo.qed
qemu-io -c 'write -P 1 500k 2700k' -c 'write -P 2 90M 64k' -c 'read -P 1 600k 4k' -c 'read -P 0 50M 1M' -c map a.qed
qemu-io -c 'write -P 3 1M 512' -c 'write -z 0 2M' -c 'discard 0 1M' -c 'read -P 0 1M 1M' -c map s.qed
qemu-io -c 'write -P 3 1M 512' -c 'write -z 2M 1M' -c 'write -z 5000k 3k' -c 'read -P 7 4M 512' -c 'read -P 0 2M 1M' -c map o.qed
qemu-img map a.qed
qemu-img map --output=json o.qed
qemu-img check a.qed
qemu-img check -r all a.qed
qemu-img check --output=json o.qed
qemu-img resize a.qed 200M
qemu-img resize --shrink a.qed 20M
qemu-img resize --preallocation=full a.qed 300M
qemu-img resize a.qed 65T
qemu-img info a.qed
qemu-img snapshot -l a.qed
qemu-img snapshot -c x a.qed
qemu-img rebase -u -b '' oo.qed
qemu-img info oo.qed
qemu-img rebase -u -b a.qed -F qed oo.qed
qemu-img rebase -b r.raw -F raw oo.qed
qemu-img info oo.qed
qemu-img commit o.qed
qemu-img measure -O qed a.qed
qemu-img amend -o size=1M a.qed
qemu-img convert -O qed a.qed c.qed
qemu-img compare a.qed c.qed
qemu-img convert -c -O qed a.qed d.qed
qemu-img convert -O qcow2 c.qed c.qcow2
qemu-img compare a.qed c.qcow2
qemu-img create -f raw small.raw 3
qemu-img info -f qed small.raw
qemu-img info -f qed c.qcow2
qemu-io -f raw -c 'write -P 9 17 1' c.qed
qemu-img info c.qed
qemu-io -f raw -c 'write -P 0 17 1' -c 'write -P 9 4 1' c.qed
qemu-img info c.qed
qemu-io -f raw -c 'write -P 0 4 1' -c 'write -P 9 8 1' c.qed
qemu-img info c.qed
qemu-io -f raw -c 'write -P 4 8 1' -c 'write -P 9 40 1' c.qed
qemu-img info c.qed
qemu-io -f raw -c 'write -P 0 40 1' -c 'write -P 255 49 6' c.qed
qemu-img info c.qed
qemu-io -f raw -c 'write -P 0 49 6' -c 'write -P 255 12 4' c.qed
qemu-img info c.qed`},
	{"trace", `
qemu-img create -f raw a.raw 1M
qemu-img -T x=y info a.raw
qemu-img -T
qemu-nbd -T x=y a.raw
qemu-io -T x=y a.raw
qemu-storage-daemon -T x=y
qemu-img -T nosuch -T -bdrv_* info -f raw a.raw
qemu-io -t writeback -T bdrv_co_p* -f raw -c 'read 0 512' -c 'write 512 512' -c 'read 511 2' a.raw
qemu-io -T bdrv_* -T -bdrv_co_p* -f raw -c length a.raw
qemu-io -T file=nosuch/log -f raw -c length a.raw`},
	{"salvage", `
qemu-img create -f raw a.raw 32M
qemu-io -f raw -c 'write -P 5 0 32M' a.raw
qemu-img convert --salvage -O raw --image-opts driver=blkdebug,image.driver=raw,image.file.driver=file,image.file.filename=a.raw,inject-error.0.event=none,inject-error.0.iotype=read,inject-error.0.sector=100,inject-error.1.event=none,inject-error.1.iotype=read,inject-error.1.sector=101,inject-error.2.event=none,inject-error.2.iotype=read,inject-error.2.sector=9000,inject-error.3.event=none,inject-error.3.iotype=read,inject-error.3.sector=9001,inject-error.4.event=none,inject-error.4.iotype=read,inject-error.4.sector=9002,inject-error.5.event=none,inject-error.5.iotype=read,inject-error.5.sector=40000 b.raw`},
}
