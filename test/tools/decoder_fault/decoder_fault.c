/*
 * decoder_fault.c - a flaw in the decoder of protobuf, for LD_PRELOAD.
 *
 * A message with these words in it makes the process fault while it is decoded; all others are
 * decoded as ever.
 */
#include <dlfcn.h>
#include <string.h>

#include <protobuf-c/protobuf-c.h>

typedef ProtobufCMessage *Unpack(const ProtobufCMessageDescriptor *descriptor,
                                 ProtobufCAllocator *allocator, size_t len, const uint8_t *data);

static const char words[] = "the decoder faults here";

ProtobufCMessage *protobuf_c_message_unpack(const ProtobufCMessageDescriptor *descriptor,
                                            ProtobufCAllocator *allocator, size_t len,
                                            const uint8_t *data)
{
	Unpack *decoder;
	void *symbol = dlsym(RTLD_NEXT, "protobuf_c_message_unpack");

	memcpy(&decoder, &symbol, sizeof(decoder));
	if (memmem(data, len, words, sizeof(words) - 1) != NULL)
		*(volatile char *)words = 0; /* constant data can't be written */
	return decoder(descriptor, allocator, len, data);
}
