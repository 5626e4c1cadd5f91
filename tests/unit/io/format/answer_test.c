/* tests/unit/io/format/answer_test.c: only a whole answer of the channel says that there is no bill. */
#include "io/format/answer.h"
#include "tests/support/check_test.h"
#include <string.h>

static int says(const char *answer)
{
    return answer_says((const uint8_t *)answer, strlen(answer), "No Bill");
}

TEST(a_member_s_whole_value_is_said)
{
    EXPECT(says("<xml><code>FAIL</code><msg>No Bill</msg></xml>"));
    EXPECT(says("\xef\xbb\xbf\n<xml><msg><![CDATA[No Bill]]></msg>\n</xml>\n"));
    EXPECT(says("{\"code\": \"No Bill\", \"message\": \"\"}\n"));
    EXPECT(says("# of today\r\n No Bill\r\n") == 0 && says("# of today\r\nNo Bill\r\n"));
}

TEST(the_words_anywhere_else_say_nothing)
{
    EXPECT(!says(""));
    EXPECT(!says("No Bill Exist"));
    EXPECT(!says("<xml><msg>No Bill Exist</msg></xml>"));
    EXPECT(!says("<xml><msg>No Bill</msg>"));
    EXPECT(!says("<xml>No Bill</xml>"));
    EXPECT(!says("<html><body><a>No Bill</a></body></html>"));
    EXPECT(!says("<xml><msg>No <b/>Bill</msg></xml>"));
    EXPECT(!says("<xml><msg>No Bill</msg></xml>\norder,amount\nA,1\n"));
    EXPECT(!says("<!-- No Bill -->\norder,amount\nA,No Bill\n"));
    EXPECT(!says("{\"code\": \"ERROR\", \"detail\": \"not No Bill\"}"));
    EXPECT(!says("{\"code\": \"ERROR\", \"known\": {\"code\": \"No Bill\"}}"));
    EXPECT(!says("{\"code\": \"No Bill\"}\norder,amount\n"));
    EXPECT(!says("{\"code\": \"No Bill\""));
    EXPECT(!says("[\"No Bill\"]"));
}

TEST(a_value_longer_than_any_text_is_none)
{
    char answer[2000] = "<xml><msg>No Bill";
    memset(answer + strlen(answer), ' ', 600);
    strcat(answer, "</msg></xml>");
    EXPECT(!says(answer));
}
