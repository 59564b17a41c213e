# Starts a server that listens on the loopback address only, and forwards connections to it from all interfaces:
#   perl forward.pl [--hosts=NAME,NAME...] PORT INNER COMMAND...
# Data is forwarded unread, so only the server interprets requests. The forwarder exits when the server exits.
# `--hosts` is for a server that does not check the Host header: a connection whose first request has another Host, or
# the Origin of another site, is refused with 403. Checking the first request is sufficient, because a browser reuses a
# connection only for the host name that it was opened for; later requests are forwarded unread.
# Requires only perl-base, which all images of Debian and Ubuntu contain.
use strict;
use warnings;
use Errno qw(EAGAIN EINTR);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::IP;
use POSIX qw(WNOHANG);

use constant BLOCK => 1 << 17;
# Each connection uses two file descriptors, and some engines allow only 1024. Further connections wait for a free slot.
use constant CONNECTIONS => 400;
# Limits for the head of the first request: bytes, and seconds until it has arrived.
use constant HEAD => 1 << 16;
use constant PATIENCE => 10;

my $hosts = @ARGV && $ARGV[0] =~ /^--hosts=(.+)/ ? join '|', map { quotemeta } split /,/, $1 : undef;
shift if defined $hosts;
my ($port, $inner, @command) = @ARGV;
my $listener = listen_on('::') || listen_on('0.0.0.0') or die "forward.pl: can't listen on port $port: $!\n";
$listener->blocking(0);
my $server = fork // die "forward.pl: can't start $command[0]: $!\n";
if (!$server) {
    { exec @command }
    die "forward.pl: can't start $command[0]: $!\n";
}
$SIG{$_} = sub { kill TERM => $server } for qw(INT TERM);
$SIG{CHLD} = sub { };    # wakes `select`
$SIG{PIPE} = 'IGNORE';

my %peer;      # socket => the other socket of its connection
my %unsent;    # socket => data that is not yet written to it
my %ended;     # socket => whether it has reached the end of its input
my %early;     # socket => {socket, text of the first request so far, deadline}; `text` is undefined after a refusal

while (1) {
    stop_with_server();
    for my $one (values %early) {
        delete $early{$one->{socket}} if time > $one->{until};
    }
    my @sockets = values %peer;
    my @early = map { $_->{socket} } values %early;
    my $readers = IO::Select->new(grep { !$ended{$_} && $unsent{$peer{$_}} eq '' } @sockets);
    $readers->add(@early);
    $readers->add($listener) if @sockets + 2 * @early < 2 * CONNECTIONS;
    my $writers = IO::Select->new(grep { $unsent{$_} ne '' } @sockets);
    my ($readable, $writable) = IO::Select->select($readers, $writers, undef, 1);
    for my $socket (@{$readable || []}) {
        if ($socket == $listener) { admit() }
        elsif ($early{$socket}) { examine($early{$socket}) }
        elsif ($peer{$socket}) { receive($socket) }
    }
    for my $socket (@{$writable || []}) {
        transmit($socket) if $peer{$socket};
    }
}

# If the machine has IPv6, a socket on `::` also accepts IPv4.
sub listen_on {
    my ($address) = @_;
    return IO::Socket::IP->new(
        LocalHost => $address, LocalPort => $port, Listen => 128, ReuseAddr => 1, V6Only => 0
    );
}

# As process 1 of a container, the forwarder also reaps orphaned processes.
sub stop_with_server {
    while ((my $pid = waitpid -1, WNOHANG) > 0) {
        exit($? & 127 ? 128 + ($? & 127) : $? >> 8) if $pid == $server;
    }
}

sub admit {
    my $client = $listener->accept or return;
    $client->blocking(0);
    return connect_server($client, '') if !defined $hosts;
    $early{$client} = {socket => $client, text => '', until => time + PATIENCE};
}

# Read a connection until the head of its first request is complete. After a refusal, read until the client closes:
# closing a socket with unread data would discard the response.
sub examine {
    my ($one) = @_;
    my $socket = $one->{socket};
    my $count = sysread $socket, my $block, BLOCK;
    return if !defined $count && is_passing();
    return delete $early{$socket} if !$count;
    return if !defined $one->{text};
    $one->{text} .= $block;
    my ($head) = $one->{text} =~ /\A(.*?)\r?\n\r?\n/s;
    return if !defined $head && length $one->{text} <= HEAD;
    if (defined $head && is_meant($head)) {
        delete $early{$socket};
        return connect_server($socket, $one->{text});
    }
    syswrite $socket, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    shutdown $socket, 1;
    delete $one->{text};
}

# Whether a request's Host header is one of the hosts, and its Origin, if any, as well.
sub is_meant {
    my ($head) = @_;
    my ($request, @lines) = split /\r?\n/, $head;
    my @named = map { /^host[ \t]*:[ \t]*(.*?)[ \t]*$/i } @lines;
    my @pages = map { /^origin[ \t]*:[ \t]*(.*?)[ \t]*$/i } @lines;
    return @named == 1
        && !grep({ !m{^(?:$hosts)(?::\d+)?$}i } @named)
        && !grep({ !m{^https?://(?:$hosts)(?::\d+)?$}i } @pages);
}

sub connect_server {
    my ($client, $sent) = @_;
    my $inside = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $inner, Blocking => 0) or return;
    $client->sockopt(SO_KEEPALIVE, 1);
    @peer{$client, $inside} = ($inside, $client);
    @unsent{$client, $inside} = ('', $sent);
}

sub receive {
    my ($socket) = @_;
    my $other = $peer{$socket};
    my $count = sysread $socket, $unsent{$other}, BLOCK;
    return is_passing() || disconnect($socket) if !defined $count;
    $ended{$socket} = 1 if !$count;
    transmit($other);
}

sub transmit {
    my ($socket) = @_;
    if ($unsent{$socket} ne '') {
        my $count = syswrite $socket, $unsent{$socket};
        return is_passing() || disconnect($socket) if !defined $count;
        substr $unsent{$socket}, 0, $count, '';
    }
    return if $unsent{$socket} ne '' || !$ended{$peer{$socket}};
    return disconnect($socket) if $ended{$socket};
    shutdown $socket, 1;    # the other direction stays open
}

# Whether the last error is temporary.
sub is_passing { return $! == EAGAIN || $! == EINTR }

sub disconnect {
    my ($socket) = @_;
    for my $one (delete $peer{$peer{$socket}}, delete $peer{$socket}) {
        delete $unsent{$one};
        delete $ended{$one};
        close $one;
    }
}
