// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include "cleave/bin/client/command.h"

// What is told of each command: of `cleave COMMAND --help` and of its man page. Examples need a
// photo.raw, a folder albums and a stream capture.bin beside them, and are tried by a test.
namespace cleave::cli {

inline constexpr std::string_view kTextTopic = "Text";
inline constexpr std::string_view kProgramsTopic = "Programs";
inline constexpr std::string_view kFilesTopic = "Files";
inline constexpr std::string_view kServerTopic = "The server";
inline constexpr std::string_view kStreamsTopic = "Streams of bytes";

inline constexpr std::array kEchoExamples = {
    Example{"cleave echo hello", "prints hello, which has been there and back"},
};
inline constexpr CommandPage kEchoPage = {
    kTextTopic,
    "Everything from the first word on is text, joined by blanks, and a newline is printed behind "
    "what comes back. -- stands before a text that begins with a dash.",
    kEchoExamples};

inline constexpr std::array kUpperExamples = {
    Example{"cleave upper hello", "prints HELLO"},
    Example{"cleave -s 'tcp://127.0.0.1:9000?wire=raw' upper hello",
            "asks a server that knows no frames"},
};
inline constexpr CommandPage kUpperPage = {
    kTextTopic, "Other letters than those of ASCII stay as they are. Text is taken as by echo.",
    kUpperExamples};

inline constexpr std::array kExecExamples = {
    Example{"cleave exec uname -a", "a program, without a shell"},
    Example{"cleave exec --shell 'ls /etc | wc -l'", "a line of the server's shell"},
    Example{"tar c albums | cleave exec sha256sum", "with standard input"},
    Example{"cleave exec --name backup customer=acme", "a command that the server has by its name"},
};
inline constexpr CommandPage kExecPage = {
    kProgramsTopic,
    "Standard input goes to the program unless it is a terminal, and both of its outputs come here "
    "as they are made. Options end at the first word of the program, or at --.\n\n"
    "Exit status: the program's own; 128+n for signal n, 124 where its time ran out, and 255 where "
    "it did not start or nobody knows how it ended.",
    kExecExamples};

inline constexpr std::array kPutExamples = {
    Example{"cleave put photo.raw albums/photo.raw", "one file, under another name"},
    Example{"cleave put -rc -P 4 albums",
            "a folder, over four connections; typed again, it goes on where it was broken off"},
    Example{"date | cleave put - today", "what a program writes"},
};
inline constexpr CommandPage kPutPage = {
    kFilesTopic,
    "The server's digest is compared with the file's. When the network breaks, or the server is "
    "busy or stops, it is tried again, within half a second and then ever later; a file of 16 MiB "
    "or more goes on where it stopped. With -c so does any file, and so do later commands.\n\n"
    "With -r the contents of FILE go into NAME, of which . is the root. Symbolic links are not "
    "followed. What is not stored is said, all others are tried, and the exit status is that of "
    "the first failure.",
    kPutExamples};

inline constexpr std::array kGetExamples = {
    Example{"cleave get albums/photo.raw copy.raw", "one file, under another name"},
    Example{"cleave get -rc -P 4 albums", "a folder, over four connections"},
    Example{"cleave get albums/photo.raw - | sha256sum", "to another program"},
};
inline constexpr CommandPage kGetPage = {
    kFilesTopic,
    "The file takes its place when its size and its digest are right. When the network breaks, or "
    "the server is busy or stops, it is tried again, within half a second and then ever later, "
    "and goes on where it stopped. With -c so do later commands, with what is left in "
    ".NAME.….part.\n\n"
    "With -r the contents of NAME, of which . is the root, go into FILE. Nothing is written "
    "outside, and no symbolic link in it is followed. What is not fetched is said, all others are "
    "tried, and the exit status is that of the first failure.",
    kGetExamples};

inline constexpr std::array kLsExamples = {
    Example{"cleave ls albums", "kind, size, last change and name, a line each"},
    Example{"cleave ls --json albums", "the same as JSON, an object a line"},
};
inline constexpr CommandPage kLsPage = {
    kFilesTopic, "Control characters in names are shown escaped.", kLsExamples};

inline constexpr std::array kStatExamples = {
    Example{"cleave stat albums/photo.raw", "its size, its digest and its last change"},
};
inline constexpr CommandPage kStatPage = {
    kFilesTopic, "Exit status: 3 where there is no such file.", kStatExamples};

inline constexpr std::array kRmExamples = {
    Example{"cleave rm albums/photo.raw", "deletes it"},
};
inline constexpr CommandPage kRmPage = {
    kFilesTopic, "Exit status: 3 where there is no such file or directory.", kRmExamples};

inline constexpr std::array kMvExamples = {
    Example{"cleave mv albums/photo.raw albums/old/photo.raw", "into a folder that is made for it"},
    Example{"cleave mv --no-overwrite photo.raw kept.raw", "unless there is one already"},
};
inline constexpr CommandPage kMvPage = {
    kFilesTopic, "Exit status: 4 where --no-overwrite finds a file of the new name.", kMvExamples};

inline constexpr std::array kVerifyExamples = {
    Example{"cleave verify albums/photo.raw", "its digest, once the disk has been read"},
};
inline constexpr CommandPage kVerifyPage = {
    kFilesTopic, "Exit status: 6 where the file is not what was stored.", kVerifyExamples};

inline constexpr std::array kPingExamples = {
    Example{"cleave ping", "the server's version, and for how long it has run"},
    Example{"cleave --silence-timeout 2 --retries 0 ping && echo up",
            "whether it answers within two seconds"},
};
inline constexpr CommandPage kPingPage = {kServerTopic, {}, kPingExamples};

inline constexpr std::array kStatsExamples = {
    Example{"cleave stats --json", "an object, for programs"},
};
inline constexpr CommandPage kStatsPage = {kServerTopic, {}, kStatsExamples};

inline constexpr std::array kLimitsExamples = {
    Example{"cleave limits --json", "an object, for programs"},
};
inline constexpr CommandPage kLimitsPage = {kServerTopic, {}, kLimitsExamples};

inline constexpr std::array kHelpExamples = {
    Example{"cleave help", "what can be asked with call"},
    Example{"cleave help put", "the members of a request"},
};
inline constexpr CommandPage kHelpPage = {
    kServerTopic,
    "These are the server's own commands, which call asks for. Of this program's commands "
    "cleave --help and cleave COMMAND --help tell.",
    kHelpExamples};

inline constexpr std::array kCallExamples = {
    Example{"cleave call stat --header filename=albums/photo.raw", "a request that is all members"},
    Example{"cleave call upper --body photo.raw | wc -c", "one with a file as its body"},
};
inline constexpr CommandPage kCallPage = {
    kServerTopic, "The body of the reply goes to standard output, its members to standard error.",
    kCallExamples};

inline constexpr std::array kStickyExamples = {
    Example{"cleave sticky", "hello and world, read as they should not be, and as they should"},
    Example{"cleave sticky --read 3 one two three", "messages and reads of your own"},
};
inline constexpr CommandPage kStickyPage = {
    kStreamsTopic,
    "Sends messages over a TCP connection to itself and shows what each call of the system gave: "
    "first two that are read as one, then one that is read in pieces, then the same as frames, "
    "read in the same pieces, as cleave takes them apart. It needs no server.",
    kStickyExamples};

inline constexpr std::array kDecodeExamples = {
    Example{"cleave decode capture.bin", "what one side of a connection has sent"},
    Example{"cat capture.bin | cleave decode --text", "with bodies, where they are text"},
};
inline constexpr CommandPage kDecodePage = {
    kStreamsTopic,
    "The stream is of requests or of replies. A line of JSON for each frame, when it is complete: "
    "where it begins, its header, and where its body is. At a fault, a last line has its offset "
    "and what is wrong there, and the exit status is 1; at an end inside a frame also how many "
    "bytes are missing. It needs no server.",
    kDecodeExamples};

}  // namespace cleave::cli
